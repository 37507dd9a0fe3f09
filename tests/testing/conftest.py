"""Sessions of pytest with the plugin, in this process or in one of their own."""

from pathlib import Path

# A session in this process unloads the modules that it has imported: it starts sooner if they are there. Some
# libraries don't work after a second import, such as those that the Docker SDK uses.
import docker  # noqa: F401
import pytest

import lab.testing.expectations.subjects
import lab.testing.failure_report
import lab.testing.hooks
import lab.testing.isolation
import lab.testing.lab_session
import lab.testing.markers.link_settings  # noqa: F401

ROOT = Path(__file__).parents[2]
# The plugin of hypothesis would be imported again in each session.
OPTIONS = ("-p", "lab.testing.plugin", "-p", "no:cacheprovider", "-p", "no:hypothesispytest")


@pytest.fixture
def session(pytester):
    """Runs pytest with the plugin in this process. Returns its result."""
    return lambda *words: pytester.runpytest_inprocess(*OPTIONS, *words)


@pytest.fixture
def apart(pytester, monkeypatch):
    """Runs pytest with the plugin in a process of its own. Returns its result."""
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    return lambda *words, timeout=100: pytester.runpytest_subprocess(*OPTIONS, *words, timeout=timeout)
