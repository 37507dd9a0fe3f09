"""The pytest plugin: the fixture ``lab``, its markers and options.

Each test with the fixture gets a lab in its initial state; its packets, sockets and programs are recorded.
The labs belong to the session: one for each kind, and with pytest-xdist for each worker. Without a Docker
Engine these tests fail; they are never skipped.

This module is imported by every pytest session on the machine, so it imports nothing that takes time: the
rest is in lab/testing/hooks.py.
"""

from __future__ import annotations

import sys
from collections.abc import Generator, Iterator
from typing import TYPE_CHECKING, Any

import pytest

from lab.testing.markers import marks
from lab.testing.options import IN_WORKER, SETTINGS, Settings, add_options

if TYPE_CHECKING:
    from lab.control.lab import Lab


def pytest_addoption(parser: pytest.Parser) -> None:
    add_options(parser)


def pytest_configure(config: pytest.Config) -> None:
    for marker in marks.MARKERS:
        config.addinivalue_line("markers", marker)
    config.stash[SETTINGS] = settings = Settings.of(config)
    if settings.lab and config.getoption("numprocesses", None):
        raise pytest.UsageError("--lab names one lab, and each worker needs its own: leave out -n")


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: Any) -> None:
    """pytest-xdist: all workers have the same seed."""
    node.workerinput[IN_WORKER] = node.config.stash[SETTINGS].seed


def pytest_report_header(config: pytest.Config) -> str:
    return config.stash[SETTINGS].header(config)


def pytest_itemcollected(item: pytest.Item) -> None:
    """Each test with the fixture has the marker, so that `-m "not lab"` deselects all of them."""
    if marks.uses_lab(item) and not marks.is_marked(item):
        item.add_marker("lab")


@pytest.hookimpl(tryfirst=True)  # before pytest-xdist reads the groups
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if any(marks.is_marked(item) for item in items):
        from lab.testing import hooks

        hooks.prepare(config, items)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_teardown(item: pytest.Item, nextitem: pytest.Item | None) -> Generator[None, None, None]:
    yield
    if marks.is_marked(item):
        from lab.testing import hooks

        hooks.close_lab_after(item, nextitem)


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    """In a worker, a test with a mistake in its markers fails here."""
    if marks.is_marked(item):
        from lab.testing import hooks

        hooks.fail_on_mistake(item)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None, None, None]:
    """A test whose lab can't do something fails with one line, or is skipped: see --lab-unsupported."""
    try:
        yield
    except Exception as error:
        if marks.uses_lab(item):
            from lab.testing import hooks

            hooks.stop_if_unsupported(item, error)
        raise


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    if not marks.uses_lab(item):
        return (yield)
    from lab.testing import hooks

    return (yield from hooks.report(item, call))


def pytest_unconfigure(config: pytest.Config) -> None:
    if "lab.testing.hooks" in sys.modules:
        from lab.testing import hooks

        hooks.close(config)


@pytest.fixture
def lab(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    """A lab in its initial state, whose packets, sockets and programs are recorded. See docs/testing.md."""
    from lab.testing import hooks

    yield from hooks.lab_for(request.node, tmp_path_factory.getbasetemp())
