"""Plays a scenario repeatedly, to show whether its verdict is stable."""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from lab.control.collection.recording import Options
from lab.control.lab import ignore
from lab.scenarios.catalog import Scenario
from lab.scenarios.play import OpenLab, Outcome, Verdict, play


@dataclass
class Stats:
    """The verdicts of one scenario and the duration of each run in seconds."""

    scenario: str
    verdicts: Counter[Verdict] = field(default_factory=Counter)
    seconds: list[float] = field(default_factory=list)

    def add(self, outcome: Outcome) -> None:
        self.verdicts[outcome.verdict] += 1
        self.seconds.append(outcome.seconds)


def play_repeatedly(
    scenario: Scenario,
    open_lab: OpenLab,
    runs: Path,
    times: int,
    *,
    seed: int | None = None,
    capture: Options | None = None,
) -> Iterator[Outcome]:
    """Plays ``scenario`` several times in a row. Of the runs that pass, only the last one's folder is kept.

    Raises EnvironmentFailure if the lab can't be reached.
    """
    passed: Path | None = None
    for _ in range(times):
        outcome = play(scenario, open_lab, ignore, runs, seed=seed, capture=capture)
        yield outcome
        if outcome.verdict == "pass":
            if passed is not None:
                shutil.rmtree(passed)
            passed = outcome.folder
