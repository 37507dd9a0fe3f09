"""The records of real runs with which the checks are tested.

The gallery's recordings hold one record of each scenario (`python -m docs.tools record`). Two scenarios have
other values on the Windows profile; their records are in the folder `recorded` beside this file:

    .venv/bin/python -m tests.scenarios.recorded

plays these two on a lab of that profile and writes the files. `make docs` runs both commands.
"""

import json
from functools import partial
from pathlib import Path

from docs.tools import recording, render
from lab.control.lab import ignore
from lab.control.transport import from_engine
from lab.engine.description import topologies
from lab.engine.lifecycle.project import LabProject
from lab.scenarios import catalog
from lab.scenarios.play import play

FOLDER = Path(__file__).parent / "recorded"
ROOT = Path(__file__).parents[2]
ON_PROFILE = (("gbk-console", "windows"), ("sticky-packets", "windows"))
RUNS = [*((name, "") for name in catalog.names()), *ON_PROFILE]


def title(run):
    """The id of a run's tests: "tcp-hello", "gbk-console on windows"."""
    return " on ".join(filter(None, run))


def path_of(name, profile):
    return FOLDER / f"{name}.{profile}.json" if profile else recording.path_of(name)


def record_of(name, profile=""):
    """The record of that scenario on a lab with that profile. Raises OSError, ValueError."""
    return json.loads(path_of(name, profile).read_text(encoding="utf-8"))["record"]


def is_current(name, profile=""):
    """Whether the scenario's code is unchanged since it was recorded."""
    return bool(profile) or render.is_current(recording.load(name), catalog.load(name))


def write(name, profile, project):
    """Plays a scenario on the lab ``project`` and writes its record. Raises AssertionError if it fails."""
    outcome = play(catalog.load(name), partial(from_engine, project), ignore, ROOT / "runs")
    assert outcome.verdict == "pass", outcome.reason
    FOLDER.mkdir(exist_ok=True)
    text = json.dumps({"record": outcome.record}, ensure_ascii=False, indent=1)
    path_of(name, profile).write_text(f"{text}\n", encoding="utf-8")


def main():
    for profile in sorted({profile for _, profile in ON_PROFILE}):
        topology = LabProject.of_file(topologies.default(), f"socketlab-record-{profile}", profile=profile)
        with topology.running():
            for name, wanted in ON_PROFILE:
                if wanted == profile:
                    write(name, profile, topology.project)


if __name__ == "__main__":
    main()
