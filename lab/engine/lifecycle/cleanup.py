"""Removes a lab completely, in any state. Resources are found by their labels."""

from __future__ import annotations

import time
from contextlib import suppress

from lab.engine.client import Engine
from lab.engine.compose import Report, run_compose, silent, users_environment
from lab.errors import EnvironmentFailure
from lab.locale import message

DOWN_TIMEOUT = 60.0
SETTLE = 1.0  # seconds without a new resource, after an interrupted start


def take_down(project: str, report: Report = silent, *, settled: bool = False) -> int:
    """Removes everything that the lab ``project`` has. Returns the number of resources.

    ``settled``: the engine carries out no request of an interrupted start any more. Raises EnvironmentFailure
    if some resources are left at the deadline.
    """
    with Engine() as engine:
        found = len(engine.resources(project))
        states = engine.states(project).values()
        settled |= bool(states) and all(state in ("healthy", "running") for state in states)
        if found:
            with suppress(EnvironmentFailure):  # the rest is removed below, or reported there
                _compose_down(project, report)
        return max(found, _sweep(engine, project, settle=0.0 if settled else SETTLE))


def _compose_down(project: str, report: Report) -> None:
    argv = ["docker", "compose", "-p", project, "down", "-v", "--remove-orphans", "-t", "1"]
    run_compose(argv, users_environment(), report=report, timeout=DOWN_TIMEOUT)


def _sweep(engine: Engine, project: str, settle: float) -> int:
    """Removes resources until no new one appears for ``settle`` seconds. Returns their number.

    After an interrupted start, the engine may still be carrying out one of its requests.
    """
    deadline = time.monotonic() + DOWN_TIMEOUT
    clean_until = time.monotonic() + settle
    removed = 0
    while True:
        left = engine.remove(project)
        removed += left
        now = time.monotonic()
        if left:
            clean_until = now + max(settle, 0.1)
        elif now >= clean_until:
            return removed
        if now > deadline:
            raise EnvironmentFailure(
                message(
                    "{project}: {left} containers, networks or volumes are left", project=project, left=left
                )
            )
        time.sleep(0.1)  # between two checks
