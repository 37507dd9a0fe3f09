"""The time from nothing to a command on each node, compared with `docker compose up --wait`."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable, Iterator

from benchmarks.rig import Rig
from benchmarks.table import SECONDS, Table, Way, alternate
from lab.control.transport import from_engine
from lab.engine.project import COMPOSE_FILE, LabProject

TIMEOUT = 180
BARE, API, CLI = "docker compose up --wait", "LabProject.up, Host.run on each", "lab up"


def measure(rig: Rig) -> Iterator[Table]:
    table = Table("From nothing to a command on each of the three nodes", SECONDS, base=BARE)
    table.remarks[BARE] = "healthy; without a login"
    table.remarks[API] = "picks free prefixes, up, logged in, `true` on each node"
    table.remarks[CLI] = "a process: imports, free prefixes, up, logged in to each node"
    actions = {BARE: bare, API: through_python, CLI: through_cli}
    ways = {name: from_nothing(action, rig.project("-up")) for name, action in actions.items()}
    alternate(table, ways, rig.rounds(5))
    table.at_most(1.25, "LabProject.up and Host.run, as a multiple of bare Compose", table.times(API, BARE))
    table.at_most(1.25, "lab up, as a multiple of bare Compose", table.times(CLI, BARE))
    yield table


def from_nothing(action: Callable[[LabProject], object], project: str) -> Way:
    """The seconds that ``action`` takes. The lab is taken down afterwards."""

    def way() -> float:
        topology = LabProject.beside(project)
        try:
            started = time.perf_counter()
            action(topology)
            return time.perf_counter() - started
        finally:
            topology.down(quiet=True)

    return way


def bare(topology: LabProject) -> None:
    argv = topology.compose("up", "--detach", "--wait", *topology.file.nodes)
    subprocess.run(argv, env=topology.environment(), capture_output=True, check=True, timeout=TIMEOUT)


def through_python(topology: LabProject) -> None:
    topology = LabProject.beside(topology.project)  # a user has to choose free prefixes, too
    topology.up(quiet=True)
    with from_engine(topology.project) as lab:
        lab.connect()
        for host in lab.hosts:
            host.run("true", check=True)


def through_cli(topology: LabProject) -> None:
    argv = [sys.executable, "-m", "lab", "up", "--quiet", "--project", topology.project]
    subprocess.run(argv, cwd=COMPOSE_FILE.parent, capture_output=True, check=True, timeout=TIMEOUT)
