"""Waits until the nodes of a lab are up, with one request to the engine for all of them."""

from __future__ import annotations

import re
import time
from collections.abc import Collection, Iterable

from lab.engine.client import Engine
from lab.engine.compose import Report
from lab.errors import EnvironmentFailure
from lab.locale import _, message

POLL = 0.02  # seconds between two requests, at least
LOG_LINES = 5  # of a node that doesn't come up
SHOWN = 3  # nodes whose log is shown, if many don't come up
ON_THE_WAY = ("starting", "created")
# Around the reason: "failed to create task: … unable to start container process: exec: …: unknown".
OF_THE_ENGINE = re.compile(r"^.*container (process|init): |: unknown$")


class StartObserver:
    """Is called at the steps of a start, so that other work can be done meanwhile.

    The start waits for each call to return. By default nothing is done.
    """

    def compose_started(self) -> None:
        """Compose runs now, which takes most of the time."""

    def nodes_up(self, names: Collection[str]) -> None:
        """All containers are started; these nodes are up. This is called repeatedly until all are."""


def wait_for_nodes(
    engine: Engine,
    project: str,
    names: Collection[str],
    timeout: float,
    report: Report,
    observer: StartObserver,
) -> None:
    """Returns when all nodes are healthy. ``names`` are their Compose services.

    Raises EnvironmentFailure on timeout, or as soon as a node can't become healthy.
    """
    deadline = time.monotonic() + timeout
    shown = -1
    while True:
        asked = time.monotonic()
        states = engine.states(project)
        took = time.monotonic() - asked
        waiting = [name for name in names if states.get(name) != "healthy"]
        observer.nodes_up([name for name in names if name not in waiting])
        if not waiting:
            return
        failed = [name for name in waiting if states.get(name, "missing") not in ON_THE_WAY]
        if failed or time.monotonic() > deadline:
            raise EnvironmentFailure(
                message(
                    "{project}: {nodes} didn't come up",
                    project=project,
                    nodes=_with_states(failed or waiting, states),
                )
            )
        if len(waiting) != shown:
            shown = len(waiting)
            report(_("{up} of {total} nodes are up").format(up=len(names) - shown, total=len(names)))
        time.sleep(max(POLL, 3 * took))  # a list of many containers is work for the engine


def require_programs(engine: Engine, project: str) -> None:
    """Raises EnvironmentFailure if the engine couldn't start a user's container."""
    for host, container in engine.workloads(project).items():
        if problem := container.attrs["State"]["Error"]:
            reason = OF_THE_ENGINE.sub("", problem)
            raise EnvironmentFailure(
                message("{host}: its container can't be started: {reason}", host=host, reason=reason)
            )


def logs_of_failed(engine: Engine, project: str) -> str:
    """The last log lines of the nodes that aren't up; first of those that can't come up any more."""
    states = engine.states(project)
    down = [name for name, state in states.items() if state != "healthy"]
    return last_logs(engine, project, sorted(down, key=lambda name: states[name] in ON_THE_WAY))


def last_logs(engine: Engine, project: str, names: Iterable[str]) -> str:
    """The last lines that these nodes logged, each with the node's name."""
    logs = {name: engine.last_lines(project, name, LOG_LINES) for name in list(names)[:SHOWN]}
    return "\n".join(f"{name}: {line}" for name, lines in logs.items() for line in lines)


def _with_states(names: Collection[str], states: dict[str, str]) -> str:
    shown = [f"{name} ({states.get(name, 'missing')})" for name in list(names)[:SHOWN]]
    return ", ".join([*shown, "…"] if len(names) > SHOWN else shown)
