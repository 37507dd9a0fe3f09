"""pytest across hosts: the fixtures `lab` and `played`, and scenario files collected as tests.

A session that needs hosts gets a lab of its own, with free prefixes, and takes it down at its end;
`--lab NAME` uses a lab that is up. Where there is no engine the tests fail: they are never skipped.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from lab.control.lab import Lab, ignore
from lab.control.transport import from_engine
from lab.engine.project import Topology
from lab.scenarios import catalog
from lab.scenarios.play import Outcome, play


class LabSession:
    """A lab of one test session, brought up at first need, and what was played on it."""

    def __init__(self, project: str | None, runs: Path, profile: str = "") -> None:
        self._profile = profile
        self._project = project
        self._runs = runs
        self._closing = ExitStack()
        self._topology: Topology | None = None
        self._lab: Lab | None = None
        self._outcomes: dict[str, Outcome] = {}

    @property
    def topology(self) -> Topology:
        if self._topology is None and self._project:
            self._topology = Topology.from_environment(self._project)
        if self._topology is None:
            suffix = self._profile and f"-{self._profile}"
            topology = Topology.beside(f"socketlab-test-{os.getpid()}{suffix}", self._profile)
            topology.up(quiet=True)
            self._closing.callback(topology.down, quiet=True)
            self._topology = topology
        return self._topology

    @property
    def lab(self) -> Lab:
        if self._lab is None:
            self._lab = self._closing.enter_context(from_engine(self.topology.project))
            self._lab.connect()
        return self._lab

    def play(self, name: str) -> Outcome:
        """Plays a scenario; the second time it is asked for, the same outcome comes back."""
        if name not in self._outcomes:
            project = self.topology.project
            open_lab: Callable[..., object] = lambda observe: from_engine(project, observe)  # noqa: E731
            self._outcomes[name] = play(catalog.load(name), open_lab, ignore, self._runs)  # type: ignore[arg-type]
        return self._outcomes[name]

    def close(self) -> None:
        self._closing.close()


class LabSessions:
    """The session's labs: a plain one, and one for each profile that is asked for."""

    def __init__(self, project: str | None, runs: Path) -> None:
        self._by_profile = {"": LabSession(project, runs)}
        self._runs = runs

    def __getitem__(self, profile: str) -> LabSession:
        if profile not in self._by_profile:
            self._by_profile[profile] = LabSession(None, self._runs, profile)
        return self._by_profile[profile]

    def play(self, name: str, profile: str = "") -> Outcome:
        """On the lab with ``profile``, or with the one that the scenario wants."""
        return self[profile or catalog.load(name).profile].play(name)

    def close(self) -> None:
        for bench in self._by_profile.values():
            bench.close()


_SESSIONS = pytest.StashKey[LabSessions]()


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.getgroup("lab").addoption(
        "--lab", metavar="NAME", help="use the lab NAME that is up, and leave it up"
    )


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "lab: plays across the hosts of a lab; needs a Docker Engine")
    config.stash[_SESSIONS] = LabSessions(config.getoption("--lab"), config.rootpath / "runs")


def pytest_unconfigure(config: pytest.Config) -> None:
    config.stash[_SESSIONS].close()


@pytest.fixture(scope="session")
def lab_topology(request: pytest.FixtureRequest) -> Topology:
    """The lab's name and prefixes; it is up."""
    return request.config.stash[_SESSIONS][""].topology


@pytest.fixture(scope="session")
def lab(request: pytest.FixtureRequest) -> Lab:
    """A running lab with every host logged in to."""
    return request.config.stash[_SESSIONS][""].lab


@pytest.fixture(scope="session")
def windows_lab(request: pytest.FixtureRequest) -> Lab:
    """A running lab whose server has Wine's command line."""
    return request.config.stash[_SESSIONS]["windows"].lab


@pytest.fixture(scope="session")
def played(request: pytest.FixtureRequest) -> Callable[..., Outcome]:
    """Plays a scenario by name, once a session; ``played(name, profile)`` plays it on that profile's lab."""
    return request.config.stash[_SESSIONS].play


def pytest_collect_file(file_path: Path, parent: pytest.Collector) -> pytest.Collector | None:
    """Files in the folder of scenarios are tests."""
    if file_path.parent == catalog.FOLDER and file_path.suffix == ".py" and file_path.stem[0] != "_":
        return ScenarioFile.from_parent(parent, path=file_path)
    return None


class ScenarioFile(pytest.File):
    """A scenario: one test that plays it and wants the verdict ``pass``."""

    def collect(self) -> Iterator[pytest.Item]:
        yield ScenarioItem.from_parent(self, name=self.path.stem.replace("_", "-"))


class ScenarioItem(pytest.Item):
    def __init__(self, **options: object) -> None:
        super().__init__(**options)  # type: ignore[arg-type]
        self.add_marker("lab")

    def runtest(self) -> None:
        outcome = self.config.stash[_SESSIONS].play(self.name)
        self.add_report_section("call", "run", f"what it left: {outcome.folder}")
        if outcome.verdict != "pass":
            why = "\n".join([f"{outcome.verdict}: {outcome.reason}", *outcome.diagnosis.sentences])
            pytest.fail(why, pytrace=False)

    def reportinfo(self) -> tuple[Path, int | None, str]:
        return self.path, None, f"scenario {self.name}"
