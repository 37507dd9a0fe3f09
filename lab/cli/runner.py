"""What the runner container does: play the scenarios that it is given, or say what can be done here."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from lab.cli.view import View
from lab.control.evidence_collector import Options
from lab.control.transport import from_mgmt
from lab.errors import LabError
from lab.protocols.printable import printable
from lab.scenarios import catalog, lessons
from lab.scenarios.catalog import Scenario
from lab.scenarios.play import OpenLab, Outcome, play

RUNS = Path("runs")  # below the image's working directory

WELCOME = """\
The lab is up: client (kali) ── router ── server (win10).

  docker compose exec client bash          a shell on kali; `ssh server` takes you on to win10
  docker compose exec server bash          a shell on win10
  docker compose run --rm runner NAME      play a scenario on this running lab
  docker compose down -v                   stop the lab and remove what it made

Scenarios:"""


def play_all(
    chosen: Sequence[Scenario],
    open_lab: OpenLab,
    view: View,
    runs: Path,
    *,
    seed: int | None = None,
    capture: Options | None = None,
) -> int:
    """Plays the scenarios one after the other. Returns the exit code: that of the worst verdict.

    Raises EnvironmentFailure.
    """
    outcomes: list[Outcome] = []
    for scenario in chosen:
        view.begin(scenario)
        outcomes.append(play(scenario, open_lab, view.observe, runs, seed=seed, capture=capture))
        view.end(outcomes[-1])
    if len(outcomes) > 1:
        view.sum_up(outcomes)
    return max((outcome.exit_code for outcome in outcomes), default=0)


def main(argv: Sequence[str]) -> int:
    """Returns the exit code: the verdict's, 2 for an unknown scenario, 3 where the lab can't be reached."""
    console = Console(highlight=False, soft_wrap=True)
    language = lessons.language(None, os.environ)
    names = list(argv) or os.environ.get("SCENARIO", "").split()
    try:
        if not names:
            print(WELCOME)
            for name in catalog.names():
                print(f"  {name:18} {lessons.title(name, language)}")
            return 0
        chosen = [catalog.load(name) for name in names]
        view = View(console, language=language, story=len(chosen) == 1)
        return play_all(chosen, from_mgmt, view, RUNS)
    except LabError as error:
        print(f"runner: {printable(str(error))}", file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        return 130


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
