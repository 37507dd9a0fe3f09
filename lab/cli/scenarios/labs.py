"""The labs of `lab run`: each scenario is played on a lab with the topology that it needs."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, ExitStack
from typing import TYPE_CHECKING

from lab.control.agent import COMMAND
from lab.engine.ahead import ConnectedAhead
from lab.engine.compose import Report
from lab.engine.description import topologies
from lab.engine.lifecycle.project import LabProject
from lab.scenarios.catalog import Scenario

if TYPE_CHECKING:  # they are imported while the connections are made
    from lab.control.lab import Lab
    from lab.engine.docker_transport import DockerTransport
    from lab.scenarios.play import OpenLab


class ScenarioLabs(ExitStack):
    """Starts the lab that a scenario needs if it isn't up; takes it down before it starts another one."""

    def __init__(
        self,
        user_lab: Callable[[], LabProject],
        progress: Callable[[], AbstractContextManager[Report]],
        *,
        for_all: bool,
        keep: bool,
    ) -> None:
        """``user_lab`` is for scenarios that don't name a topology; with ``for_all``, for all scenarios. With
        ``keep`` the labs stay up.
        """
        super().__init__()
        self._user_lab = user_lab
        self._progress = progress
        self._for_all = for_all
        self._keep = keep
        self._project: str | None = None
        self._lab: Lab | None = None
        self._ahead: ConnectedAhead | None = None

    def connect_ahead(self, scenario: Scenario) -> None:
        """Connects to the lab that the scenario needs, in the background, if it is up, and starts its agents.

        Raises UsageError, EnvironmentFailure.
        """
        self._ahead = self.enter_context(ConnectedAhead(self._lab_of(scenario).project, COMMAND))

    def lab_for(self, scenario: Scenario) -> OpenLab:
        """Brings up the lab for this scenario; it stays open, and reserved, for those that need the same one.

        Raises UsageError, EnvironmentFailure.
        """
        wanted = self._lab_of(scenario)
        if self._lab is None or wanted.project != self._project:
            from lab.control.transport import from_engine

            transport = self._transport_of(wanted)
            if transport is None:
                self.close()
            with self._progress() as report:
                started = self.enter_context(wanted.running(keep=self._keep, report=report))
            open_already = None if started else transport  # a lab that was started has other containers
            self._lab = self.enter_context(from_engine(wanted.project, transport=open_already))
            self._lab.warm_up()
            self.enter_context(self._lab.claimed())
            self._project = wanted.project
        return self._lab.observed_by

    def _transport_of(self, wanted: LabProject) -> DockerTransport | None:
        """The connections that were made ahead, for the first lab."""
        ahead, self._ahead = self._ahead, None
        if self._lab is not None or ahead is None or ahead.project != wanted.project:
            return None
        return ahead.transport()

    def _lab_of(self, scenario: Scenario) -> LabProject:
        if self._for_all or not scenario.topology:
            return self._user_lab()
        path = topologies.shipped(scenario.topology)
        return LabProject.of_file(path, topologies.project_name(path), profile=scenario.profile)
