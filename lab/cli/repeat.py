"""The same scenarios many times: does each give the same verdict every time?"""

from __future__ import annotations

import shutil
import statistics
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from rich.console import Console
from rich.text import Text

from lab.cli.view import VERDICT_STYLES
from lab.control.evidence_collector import Options
from lab.control.lab import ignore
from lab.locale import from_environment
from lab.protocols.printable import printable
from lab.scenarios.catalog import Scenario
from lab.scenarios.play import OpenLab, Outcome, Verdict, play


@dataclass
class Stats:
    """How often one scenario came to which verdict, and how long it took each time."""

    name: str
    verdicts: Counter[Verdict] = field(default_factory=Counter)
    seconds: list[float] = field(default_factory=list)

    def add(self, outcome: Outcome) -> None:
        self.verdicts[outcome.verdict] += 1
        self.seconds.append(outcome.seconds)

    def line(self) -> Text:
        """``sticky-packets  50 × pass  1.1 s (0.9 … 1.4)``"""
        verdicts = [(f"{count} × {name}  ", VERDICT_STYLES[name]) for name, count in self.verdicts.items()]
        took = sorted(self.seconds)
        seconds = f"{statistics.median(took):.1f} s ({took[0]:.1f} … {took[-1]:.1f})"
        return Text.assemble(f"{self.name:18} ", *verdicts, (seconds, "dim"))


def soak(
    chosen: Sequence[Scenario],
    open_lab: OpenLab,
    console: Console,
    runs: Path,
    times: int,
    *,
    seed: int | None = None,
    capture: Options | None = None,
) -> int:
    """Plays each scenario ``times`` in a row. Returns the exit code: that of the worst verdict.

    What doesn't pass is told at once, and its folder stays; of the runs that pass only the last one's does.
    Raises EnvironmentFailure.
    """
    worst = 0
    for scenario in chosen:
        stats = Stats(scenario.name)
        passed: Path | None = None
        with console.status("") as status:
            for number in range(1, times + 1):
                status.update(f"{scenario.name} {number}/{times}")
                outcome = play(scenario, open_lab, ignore, runs, seed=seed, capture=capture)
                stats.add(outcome)
                worst = max(worst, outcome.exit_code)
                if outcome.verdict != "pass":
                    _tell(console, outcome, number)
                    continue
                if passed is not None:
                    shutil.rmtree(passed)
                passed = outcome.folder
        console.print(stats.line())
    return worst


def _tell(console: Console, outcome: Outcome, number: int) -> None:
    style = VERDICT_STYLES[outcome.verdict]
    console.print(
        Text(f"{outcome.scenario.name} {number}: {outcome.verdict}: {printable(outcome.reason)}", style)
    )
    for sentence in outcome.diagnosis.in_language(from_environment()):
        console.print(Text(f"  {printable(sentence)}", "yellow"))
    console.print(Text(f"  what it left: {outcome.folder}", "dim"))
