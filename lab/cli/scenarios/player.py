"""Plays scenarios and shows them in the terminal, once or repeatedly."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any, TypeAlias

from rich.console import Console
from rich.text import Text

from lab.cli.output.outcome import VERDICT_STYLES, show_failure
from lab.cli.output.view import View
from lab.control.collection.recording import Options
from lab.control.lab import Lab
from lab.evidence.events import Observe
from lab.scenarios.catalog import Scenario
from lab.scenarios.drawing import DrawingThread
from lab.scenarios.play import OpenLab, Outcome, play
from lab.scenarios.repeat import Stats, play_repeatedly

LabFor: TypeAlias = Callable[[Scenario], OpenLab]  # brings up the lab that a scenario needs


def play_once(
    chosen: Sequence[Scenario],
    lab_for: LabFor,
    view: View,
    runs: Path,
    *,
    seed: int | None = None,
    capture: Options | None = None,
) -> int:
    """Plays the scenarios one after the other. Returns the exit code: that of the worst verdict.

    The pages of the runs are drawn while the next scenario is played, and all exist at the end. Raises
    EnvironmentFailure if the lab can't be reached.
    """
    outcomes: list[Outcome] = []
    with DrawingThread() as drawing:
        for scenario in chosen:
            open_lab = partial(_open_and_show_nodes, lab_for(scenario), view)
            view.begin(scenario)
            outcome = play(
                scenario, open_lab, view.observe, runs, seed=seed, capture=capture, draw=drawing.draw
            )
            view.end(outcome)
            outcomes.append(outcome)
    if len(outcomes) > 1:
        view.sum_up(outcomes)
    return max((outcome.exit_code for outcome in outcomes), default=0)


@contextmanager
def _open_and_show_nodes(open_lab: OpenLab, view: View, observe: Observe) -> Iterator[Lab]:
    with open_lab(observe) as lab:
        view.show_nodes([host.node for host in lab.hosts])
        yield lab


def play_often(
    chosen: Sequence[Scenario],
    lab_for: LabFor,
    console: Console,
    runs: Path,
    times: int,
    language: str,
    *,
    seed: int | None = None,
    capture: Options | None = None,
) -> int:
    """Plays each scenario ``times`` times; shows each failure at once and the verdicts at the end.

    Returns the exit code: that of the worst verdict. Raises EnvironmentFailure if the lab can't be reached.
    """
    worst = 0
    for scenario in chosen:
        open_lab = lab_for(scenario)
        stats = Stats(scenario.name)
        with console.status(f"{scenario.name} 1/{times}") as status:
            outcomes = play_repeatedly(scenario, open_lab, runs, times, seed=seed, capture=capture)
            for number, outcome in enumerate(outcomes, 1):
                status.update(f"{scenario.name} {number + 1}/{times}")
                stats.add(outcome)
                worst = max(worst, outcome.exit_code)
                if outcome.verdict != "pass":
                    show_failure(console, outcome, number, language)
        console.print(_stats_line(stats))
    return worst


def play_silently(
    chosen: Sequence[Scenario],
    lab_for: LabFor,
    runs: Path,
    times: int,
    *,
    seed: int | None = None,
    capture: Options | None = None,
) -> list[Outcome]:
    """Plays each scenario ``times`` times. Raises EnvironmentFailure if the lab can't be reached."""
    return [
        outcome
        for scenario in chosen
        for outcome in play_repeatedly(scenario, lab_for(scenario), runs, times, seed=seed, capture=capture)
    ]


def as_json(outcomes: Sequence[Outcome], language: str) -> dict[str, Any]:
    """The outcomes for programs. The verdict of all is the worst one."""
    worst = max(outcomes, key=lambda outcome: outcome.exit_code)
    return {
        "verdict": worst.verdict,
        "runs": [
            {
                "scenario": outcome.scenario.name,
                "verdict": outcome.verdict,
                "reason": outcome.reason,
                "seconds": outcome.seconds,
                "folder": str(outcome.folder),
                "diagnosis": list(outcome.diagnosis.in_language(language)),
                "see_also": list(outcome.diagnosis.see_also),
            }
            for outcome in outcomes
        ],
    }


def _stats_line(stats: Stats) -> Text:
    """``sticky-packets  50 × pass  1.1 s (0.9 … 1.4)``"""
    verdicts = [(f"{count} × {name}  ", VERDICT_STYLES[name]) for name, count in stats.verdicts.items()]
    took = sorted(stats.seconds)
    seconds = f"{statistics.median(took):.1f} s ({took[0]:.1f} … {took[-1]:.1f})"
    return Text.assemble(f"{stats.scenario:18} ", *verdicts, (seconds, "dim"))
