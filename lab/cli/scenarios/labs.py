"""The labs of `lab run`: each scenario is played on a lab with the topology that it needs."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, ExitStack

from lab.control.lab import Lab
from lab.control.transport import from_engine
from lab.engine import topologies
from lab.engine.compose import Report
from lab.engine.lifecycle.project import LabProject
from lab.scenarios.catalog import Scenario
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

    def lab_for(self, scenario: Scenario) -> OpenLab:
        """Brings up the lab for this scenario; it stays open, and reserved, for those that need the same one.

        Raises UsageError, EnvironmentFailure.
        """
        wanted = self._lab_of(scenario)
        if self._lab is None or wanted.project != self._project:
            self.close()
            with self._progress() as report:
                self.enter_context(wanted.running(keep=self._keep, report=report))
            self._lab = self.enter_context(from_engine(wanted.project))
            self._lab.warm_up()
            self.enter_context(self._lab.claimed())
            self._project = wanted.project
        return self._lab.observed_by

    def _lab_of(self, scenario: Scenario) -> LabProject:
        if self._for_all or not scenario.topology:
            return self._user_lab()
        path = topologies.shipped(scenario.topology)
        return LabProject.of_file(path, topologies.project_name(path), profile=scenario.profile)
