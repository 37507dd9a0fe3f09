"""Scenario files as pytest items: a scenario passes if its verdict is ``pass``."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from lab.testing.lab_session import SESSIONS, LabKind


def group_of(name: str, profile: str = "") -> pytest.MarkDecorator:
    """The mark of a test that plays a scenario: with pytest-xdist, one worker plays it for all tests."""
    kind = LabKind.of_scenario(name, profile)
    return pytest.mark.xdist_group(f"scenario {name}") if kind.is_plain else pytest.mark.lab_with(*kind)


class ScenarioFile(pytest.File):
    """The file of a scenario: one test."""

    def collect(self) -> Iterator[pytest.Item]:
        yield ScenarioItem.from_parent(self, name=self.path.stem.replace("_", "-"))


class ScenarioItem(pytest.Item):
    """Plays the scenario and requires the verdict ``pass``."""

    def __init__(self, **options: object) -> None:
        super().__init__(**options)  # type: ignore[arg-type]
        self.add_marker("lab")
        self.add_marker(group_of(self.name))

    def runtest(self) -> None:
        outcome = self.config.stash[SESSIONS].play(self.name)
        self.add_report_section("call", "run", f"run folder: {outcome.folder}")
        if outcome.verdict != "pass":
            reasons = [f"{outcome.verdict}: {outcome.reason}", *outcome.diagnosis.sentences]
            pytest.fail("\n".join(reasons), pytrace=False)

    def reportinfo(self) -> tuple[Path, int | None, str]:
        return self.path, None, f"scenario {self.name}"
