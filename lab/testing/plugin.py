"""The pytest plugin: fixtures for labs, and scenario files collected as tests.

A test session that needs hosts starts its own lab, with free prefixes, and takes it down at the end. Tests
that need another topology or profile are marked with ``lab_with(topology, profile)``: they run one after the
other, and their lab is up only during these tests. With pytest-xdist each worker has its own labs;
`--dist loadgroup` plays each scenario on one worker only. `--lab NAME` uses a lab that is already up. Without
a Docker Engine, tests that need a lab fail; they are never skipped.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from pathlib import Path

import pytest

from lab.control.lab import Lab
from lab.engine.lifecycle.project import LabProject
from lab.scenarios import catalog
from lab.scenarios.play import Outcome
from lab.testing.lab_session import SESSIONS, LabKind, LabSessions
from lab.testing.scenario_items import ScenarioFile

WINDOWS = LabKind(profile="windows")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.getgroup("lab").addoption("--lab", metavar="NAME", help="use the running lab NAME and leave it up")


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "lab: runs on the hosts of a lab; needs a Docker Engine")
    config.addinivalue_line(
        "markers", "lab_with(topology, profile): needs a lab with this shipped topology or profile"
    )
    project = config.getoption("--lab")
    if project and config.getoption("numprocesses", None):
        raise pytest.UsageError("--lab names one lab, and each worker needs its own: leave out -n")
    config.stash[SESSIONS] = LabSessions(project, config.rootpath / "runs")


def pytest_unconfigure(config: pytest.Config) -> None:
    if SESSIONS in config.stash:
        config.stash[SESSIONS].close()


@pytest.hookimpl(tryfirst=True)  # before pytest-xdist reads the groups
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Puts the tests that need the same lab one after the other, and on one worker."""
    for item in items:
        kind = kind_of(item)
        if not kind.is_plain:
            item.add_marker(pytest.mark.xdist_group(str(kind)))
    items.sort(key=lambda item: str(kind_of(item)))  # stable; the plain lab is first


def kind_of(item: pytest.Item) -> LabKind:
    """The lab that a test needs, or would need if it needs one."""
    if mark := item.get_closest_marker("lab_with"):
        return LabKind(*mark.args, **mark.kwargs)
    return WINDOWS if "windows_lab" in getattr(item, "fixturenames", ()) else LabKind()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_teardown(item: pytest.Item, nextitem: pytest.Item | None) -> Generator[None, None, None]:
    """Takes a lab down after its last test, so that few labs are up at the same time."""
    yield
    kind = kind_of(item)
    if not kind.is_plain and (nextitem is None or kind_of(nextitem) != kind):
        item.config.stash[SESSIONS].close(kind)


def pytest_collect_file(file_path: Path, parent: pytest.Collector) -> pytest.Collector | None:
    """Collects each file in the scenarios folder as a test."""
    if file_path.parent == catalog.FOLDER and file_path.suffix == ".py" and file_path.stem[0] != "_":
        return ScenarioFile.from_parent(parent, path=file_path)
    return None


@pytest.fixture(scope="session")
def lab_topology(request: pytest.FixtureRequest) -> LabProject:
    """The name and the prefixes of the session's lab, which is up."""
    return request.config.stash[SESSIONS][LabKind()].project


@pytest.fixture(scope="session")
def shared_lab(request: pytest.FixtureRequest) -> Lab:
    """A running lab with an SSH connection to each host. All tests of the session share it as it is."""
    return request.config.stash[SESSIONS][LabKind()].lab


@pytest.fixture(scope="session")
def lab(shared_lab: Lab) -> Lab:
    """The lab of a test."""
    return shared_lab


@pytest.fixture(scope="session")
def windows_lab(request: pytest.FixtureRequest) -> Lab:
    """A running lab whose server has Wine's command line."""
    return request.config.stash[SESSIONS][WINDOWS].lab


@pytest.fixture(scope="session")
def lab_with(request: pytest.FixtureRequest) -> Callable[..., Lab]:
    """``lab_with(topology, profile)`` is a running lab of that kind. The test has the same values in its mark
    ``lab_with``.
    """
    return lambda *kind: request.config.stash[SESSIONS][LabKind(*kind)].lab


@pytest.fixture(scope="session")
def played(request: pytest.FixtureRequest) -> Callable[..., Outcome]:
    """Plays a scenario by name, once per session; ``played(name, profile)`` uses a lab with that profile."""
    return request.config.stash[SESSIONS].play
