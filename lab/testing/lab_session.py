"""The labs of one test session: each is brought up when first needed and taken down after its last test."""

from __future__ import annotations

import os
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import NamedTuple

import pytest

from lab.control.lab import Lab, ignore
from lab.control.transport import from_engine
from lab.engine import topologies
from lab.engine.lifecycle.project import LabProject
from lab.scenarios import catalog
from lab.scenarios.play import Outcome, play


class LabKind(NamedTuple):
    """The properties in which the labs of a session differ."""

    topology: str = ""  # a shipped one; "" is the default
    profile: str = ""

    @classmethod
    def of_scenario(cls, name: str, profile: str = "") -> LabKind:
        """The lab that a scenario needs; ``profile`` replaces the one that the scenario requires."""
        scenario = catalog.load(name)
        return cls(scenario.topology, profile or scenario.profile)

    @property
    def is_plain(self) -> bool:
        return self == LabKind()

    def __str__(self) -> str:
        return " ".join(filter(None, [self.topology and f"topology {self.topology}", self.profile]))


class LabSession:
    """One lab and the outcomes of the scenarios played on it.

    ``project`` is a lab that is already up and stays up. Without it, the session starts a lab of this kind
    with free prefixes.
    """

    def __init__(self, project: str | None, runs: Path, kind: LabKind = LabKind()) -> None:  # noqa: B008
        self._project = project
        self._runs = runs
        self._kind = kind
        self._exit_stack = ExitStack()
        self._started: LabProject | None = None
        self._lab: Lab | None = None
        self._outcomes: dict[str, Outcome] = {}

    @property
    def project(self) -> LabProject:
        """The lab's name and prefixes; it is up. Raises EnvironmentFailure."""
        if self._started is None:
            self._started = self._described(self._project).attached() if self._project else self._start()
        return self._started

    @property
    def lab(self) -> Lab:
        """The lab, with an SSH connection to each host. Raises EnvironmentFailure."""
        if self._lab is None:
            self._lab = self._exit_stack.enter_context(from_engine(self.project.project))
            self._lab.connect()
        return self._lab

    def play(self, name: str) -> Outcome:
        """Plays a scenario on the first call and returns the same outcome on later calls."""
        if name not in self._outcomes:
            open_lab = partial(from_engine, self.project.project)
            self._outcomes[name] = play(catalog.load(name), open_lab, ignore, self._runs)
        return self._outcomes[name]

    def close(self) -> None:
        """Closes the connections and takes down the lab if the session started it."""
        self._exit_stack.close()
        self._started = self._lab = None

    def _described(self, project: str) -> LabProject:
        path = topologies.shipped(self._kind.topology or topologies.DEFAULT)
        return LabProject.of_file(path, project, profile=self._kind.profile, environ={})

    def _start(self) -> LabProject:
        # The process id distinguishes the sessions, and the pytest-xdist workers, of one machine.
        name = "-".join(filter(None, ["socketlab-test", str(os.getpid()), *self._kind]))
        project = self._described(name)
        self._exit_stack.callback(project.down)
        return project.up()


class LabSessions:
    """The session's labs by kind. ``project`` is the name of a running lab to use as the plain one."""

    def __init__(self, project: str | None, runs: Path) -> None:
        self._by_kind = {LabKind(): LabSession(project, runs)}
        self._runs = runs

    def __getitem__(self, kind: LabKind) -> LabSession:
        if kind not in self._by_kind:
            self._by_kind[kind] = LabSession(None, self._runs, kind)
        return self._by_kind[kind]

    def play(self, name: str, profile: str = "") -> Outcome:
        """Plays a scenario once, on a lab of the kind that it needs; ``profile`` replaces its own profile."""
        return self[LabKind.of_scenario(name, profile)].play(name)

    def close(self, kind: LabKind | None = None) -> None:
        """Takes down the labs that the session started, or only that of one kind."""
        for known, session in self._by_kind.items():
            if kind in (None, known):
                session.close()


SESSIONS = pytest.StashKey[LabSessions]()  # in the configuration of the test session
