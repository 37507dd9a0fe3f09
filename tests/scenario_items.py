"""Scenario files as pytest items: a scenario passes if its verdict is ``pass``."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from lab.engine.description import topologies
from lab.scenarios import catalog
from lab.scenarios.play import Outcome
from lab.testing.lab_kind import LabKind

PLAY: pytest.StashKey[Callable[..., Outcome]] = pytest.StashKey()  # in the configuration of the session


def kind_of(name: str, profile: str = "") -> LabKind:
    """The lab that a scenario needs; ``profile`` replaces the one that the scenario requires."""
    scenario = catalog.load(name)
    return LabKind.of(scenario.topology or topologies.DEFAULT, profile or scenario.profile)


def marks_of(name: str, profile: str = "") -> list[pytest.MarkDecorator]:
    """The marks of a test that plays a scenario: with pytest-xdist, one worker plays it for all tests."""
    scenario = catalog.load(name)
    keywords = {"topology": scenario.topology, "profile": profile or scenario.profile}
    chosen = {key: value for key, value in keywords.items() if value}
    return [pytest.mark.lab(**chosen)] + ([] if chosen else [pytest.mark.xdist_group(f"scenario {name}")])


class ScenarioFile(pytest.File):
    """The file of a scenario: one test."""

    def collect(self) -> Iterator[pytest.Item]:
        yield ScenarioItem.from_parent(self, name=self.path.stem.replace("_", "-"))


class ScenarioItem(pytest.Item):
    """Plays the scenario and requires the verdict ``pass``."""

    def __init__(self, **options: object) -> None:
        super().__init__(**options)  # type: ignore[arg-type]
        for mark in marks_of(self.name):
            self.add_marker(mark)

    def runtest(self) -> None:
        outcome = self.config.stash[PLAY](self.name)
        self.add_report_section("call", "run", f"run folder: {outcome.folder}")
        if outcome.verdict != "pass":
            reasons = [f"{outcome.verdict}: {outcome.reason}", *outcome.diagnosis.sentences]
            pytest.fail("\n".join(reasons), pytrace=False)

    def reportinfo(self) -> tuple[Path, int | None, str]:
        return self.path, None, f"scenario {self.name}"
