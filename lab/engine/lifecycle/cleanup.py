"""Removes a lab completely, in any state. Resources are found by their labels.

Compose isn't needed: it would take longer, as it stops the nodes before it removes them.
"""

from __future__ import annotations

import time

from lab.engine.client import ROLE_LABEL, Engine
from lab.engine.compose import Report, silent
from lab.engine.http.resources import Resource, remove, stop
from lab.errors import EnvironmentFailure
from lab.locale import from_environment, message, messages

DOWN_TIMEOUT = 60.0
STOP_TIMEOUT = 1  # seconds for a user's program to exit
SETTLE = 1.0  # seconds without a new resource, after an interrupted start
POLL = 0.05


def take_down(project: str, report: Report = silent, *, settled: bool = False) -> int:
    """Removes everything that the lab ``project`` has. Returns the number of resources.

    ``settled``: the engine carries out no request of an interrupted start any more. Raises EnvironmentFailure
    if some resources are left at the deadline.
    """
    with Engine() as engine:
        states = engine.states(project).values()
        settled |= bool(states) and all(state in ("healthy", "running") for state in states)
        return _sweep(engine, project, 0.0 if settled else SETTLE, report)


def _sweep(engine: Engine, project: str, settle: float, report: Report) -> int:
    """Removes resources until no new one appears for ``settle`` seconds. Returns their number.

    After an interrupted start, the engine may still be carrying out one of its requests.
    """
    deadline = time.monotonic() + DOWN_TIMEOUT
    clean_since = time.monotonic()
    seen: set[str] = set()
    while True:
        left = engine.resources(project)
        now = time.monotonic()
        if not left and now >= clean_since + settle:
            return len(seen)
        if now > deadline:
            raise EnvironmentFailure(
                message(
                    "{project}: {left} containers, networks or volumes are left",
                    project=project,
                    left=len(left),
                )
            )
        seen |= {each.id for each in left}
        if left:
            report(_removing(len(left)))
            clean_since = now
        if not _remove(engine, left):
            time.sleep(POLL)


def _remove(engine: Engine, left: list[Resource]) -> bool:
    """Removes these resources. Returns True if that was possible for all of them, and for at least one.

    Users' programs may write data on this machine, so they get time to exit. The processes of a node are
    killed when its first process ends.
    """
    programs = [each for each in left if each.labels.get(ROLE_LABEL) == "workload"]
    stop(engine.api, programs, STOP_TIMEOUT)
    return 0 < len(remove(engine.api, left)) == len(left)


def _removing(count: int) -> str:
    return messages(
        "removing {count} container, network or volume",
        "removing {count} containers, networks and volumes",
        count=count,
    ).in_language(from_environment())
