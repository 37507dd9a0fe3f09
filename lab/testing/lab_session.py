"""The labs of one test session: each is brought up when first needed and taken down at the end."""

from __future__ import annotations

import os
from contextlib import ExitStack
from functools import partial
from pathlib import Path

import pytest

from lab.control.lab import Lab, ignore
from lab.control.transport import from_engine
from lab.engine.project import LabProject
from lab.errors import EnvironmentFailure
from lab.scenarios import catalog
from lab.scenarios.play import Outcome, play


class LabSession:
    """One lab and the outcomes of the scenarios played on it.

    ``project`` is a lab that is already up and stays up. Without it, the session starts a lab with
    ``profile`` and free prefixes.
    """

    def __init__(self, project: str | None, runs: Path, profile: str = "") -> None:
        self._project = project
        self._runs = runs
        self._profile = profile
        self._exit_stack = ExitStack()
        self._topology: LabProject | None = None
        self._lab: Lab | None = None
        self._outcomes: dict[str, Outcome] = {}

    @property
    def topology(self) -> LabProject:
        """The name and the prefixes of the lab, which is up. Raises EnvironmentFailure."""
        if self._topology is None:
            self._topology = LabProject.from_environment(self._project) if self._project else self._start()
        return self._topology

    @property
    def lab(self) -> Lab:
        """The lab, with an SSH connection to each host. Raises EnvironmentFailure."""
        if self._lab is None:
            self._lab = self._exit_stack.enter_context(from_engine(self.topology.project))
            self._lab.connect()
        return self._lab

    def play(self, name: str) -> Outcome:
        """Plays a scenario on the first call and returns the same outcome on later calls."""
        if name not in self._outcomes:
            open_lab = partial(from_engine, self.topology.project)
            self._outcomes[name] = play(catalog.load(name), open_lab, ignore, self._runs)
        return self._outcomes[name]

    def close(self) -> None:
        """Closes the connections and takes down the lab if the session started it."""
        self._exit_stack.close()

    def _start(self) -> LabProject:
        # The process id distinguishes the sessions, and the pytest-xdist workers, of one machine.
        suffix = self._profile and f"-{self._profile}"
        topology = start_beside(f"socketlab-test-{os.getpid()}{suffix}", self._profile)
        self._exit_stack.callback(topology.down, quiet=True)
        return topology


def start_beside(project: str, profile: str = "") -> LabProject:
    """Brings up a lab with free prefixes. Raises EnvironmentFailure.

    Another process may take the chosen prefixes before this lab has them. In that case it chooses again.
    """
    while True:
        topology = LabProject.beside(project, profile)
        try:
            topology.up(quiet=True)
        except EnvironmentFailure:
            if LabProject.beside(project, profile) == topology:  # still free: this was not the cause
                raise
        else:
            return topology


class LabSessions:
    """The session's labs by profile; "" is the plain lab."""

    def __init__(self, project: str | None, runs: Path) -> None:
        self._by_profile = {"": LabSession(project, runs)}
        self._runs = runs

    def __getitem__(self, profile: str) -> LabSession:
        if profile not in self._by_profile:
            self._by_profile[profile] = LabSession(None, self._runs, profile)
        return self._by_profile[profile]

    def play(self, name: str, profile: str = "") -> Outcome:
        """Plays a scenario once on the lab with ``profile``, by default the profile that it requires."""
        return self[profile or catalog.load(name).profile].play(name)

    def close(self) -> None:
        for session in self._by_profile.values():
            session.close()


SESSIONS = pytest.StashKey[LabSessions]()  # in the configuration of the test session
