"""A plugin for this checkout only: labs that tests share, and scenario files collected as tests.

The plugin's own fixture `lab` resets the lab before each test. Most tests here don't need that, and some
open a lab themselves, so they share the labs of the session as they are.
"""

import functools

import pytest

from lab.control.lab import ignore
from lab.engine.description import topologies
from lab.scenarios import catalog
from lab.scenarios.play import play
from lab.testing import hooks
from lab.testing.lab_kind import LabKind
from lab.testing.markers import marks
from tests.scenario_items import PLAY, ScenarioFile, kind_of

marks.OTHER_FIXTURES |= {"lab_with", "played", "windows_lab"}


def pytest_configure(config):
    @functools.cache
    def played(name, profile=""):
        lab = hooks.sessions(config)[kind_of(name, profile)].lab
        return play(catalog.load(name), lab.observed_by, ignore, config.rootpath / "runs")

    config.stash[PLAY] = played


def pytest_collect_file(file_path, parent):
    """Collects each file in the scenarios folder as a test."""
    if file_path.parent == catalog.FOLDER and file_path.suffix == ".py" and file_path.stem[0] != "_":
        return ScenarioFile.from_parent(parent, path=file_path)


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item):
    """The session has reserved its labs for tests with the fixture `lab`; others reserve them themselves."""
    if hooks.SESSIONS in item.config.stash and not _has_the_fixture(item):
        hooks.sessions(item.config).release()


def _has_the_fixture(item):
    """Whether the test has the plugin's fixture, and not one of the same name."""
    definitions = getattr(item, "fixturenames", ()) and item._fixtureinfo.name2fixturedefs.get(marks.FIXTURE)
    return bool(definitions) and definitions[-1].func.__module__ == "lab.testing.plugin"


@pytest.fixture(scope="session")
def lab_topology(request):
    """The name and the prefixes of the session's lab, which is up."""
    return plain_session(request.config).project


@pytest.fixture(scope="session")
def shared_lab(request):
    """A running lab with an SSH connection to each host. All tests of the session share it as it is."""
    return plain_session(request.config).lab


def plain_session(config):
    return hooks.sessions(config)[hooks.plain_kind(config)]


@pytest.fixture(scope="session")
def lab_with(request):
    """``lab_with(topology, profile)`` is a running lab of that kind. The test's mark has the same values."""

    def lab(topology="", profile=""):
        return hooks.sessions(request.config)[LabKind.of(topology or topologies.DEFAULT, profile)].lab

    return lab


@pytest.fixture(scope="session")
def windows_lab(lab_with):
    """A running lab whose server has Wine's command line. The test's mark is ``lab(profile="windows")``."""
    return lab_with(profile="windows")


@pytest.fixture(scope="session")
def played(request):
    """Plays a scenario by name, once per session; ``played(name, profile)`` uses a lab with that profile."""
    return request.config.stash[PLAY]
