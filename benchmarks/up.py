"""The time from nothing to a command on each node, and back; compared with `docker compose up` and `down`."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace

from benchmarks.rig import Rig
from benchmarks.table import SECONDS, Table, Way, alternate, timed
from lab.control.transport import from_engine
from lab.engine.client import Engine
from lab.engine.description import prefix_choice, topologies
from lab.engine.lifecycle.project import LabProject
from lab.shipped import COMPOSE_FILE, ROOT

TIMEOUT = 180
BARE, API, CLI = "docker compose up --wait", "LabProject.up, Host.run on each", "lab up"


BARE_DOWN, DOWN = "docker compose down --volumes", "lab down"


def measure(rig: Rig) -> Iterator[Table]:
    yield up(rig)
    yield down(rig)


def up(rig: Rig) -> Table:
    table = Table("From nothing to a command on each of the three nodes", SECONDS, base=BARE)
    table.remarks[BARE] = "healthy; without a login"
    table.remarks[API] = "picks free prefixes, up, logged in, `true` on each node"
    table.remarks[CLI] = "a process: imports, free prefixes, up, logged in to each node"
    actions = {BARE: bare, API: through_python, CLI: through_cli}
    ways = {name: from_nothing(action, rig.project("-up")) for name, action in actions.items()}
    alternate(table, ways, rig.rounds(5))
    table.at_most(1.25, "LabProject.up and Host.run, as a multiple of bare Compose", table.times(API, BARE))
    table.at_most(1.25, "lab up, as a multiple of bare Compose", table.times(CLI, BARE))
    return table


def down(rig: Rig) -> Table:
    table = Table("From three healthy nodes to nothing left", SECONDS, base=BARE_DOWN)
    table.remarks[DOWN] = "a process: imports, down, and a look for what an interrupted start left behind"
    name = rig.project("-down")
    ways = {BARE_DOWN: to_nothing(bare_down, name), DOWN: to_nothing(down_through_cli, name)}
    alternate(table, ways, rig.rounds(5))
    table.at_most(1.1, "lab down, as a multiple of bare Compose", table.times(DOWN, BARE_DOWN))
    return table


def to_nothing(action: Callable[[LabProject], object], name: str) -> Way:
    """The seconds that ``action`` takes to remove a lab."""

    def way() -> float:
        project = LabProject.of_file(topologies.default(), name, environ={}).up()
        try:
            return timed(lambda: action(project))()
        finally:
            project.down()

    return way


def bare_down(project: LabProject) -> None:
    argv = project.compose("-f", str(COMPOSE_FILE), "down", "--volumes", "--timeout", "1")
    subprocess.run(argv, env=project.environment(), capture_output=True, check=True, timeout=TIMEOUT)


def down_through_cli(project: LabProject) -> None:
    argv = [sys.executable, "-m", "lab", "down", "--quiet", "--project", project.project]
    subprocess.run(argv, cwd=ROOT, capture_output=True, check=True, timeout=TIMEOUT)


def from_nothing(action: Callable[[LabProject], object], name: str) -> Way:
    """The seconds that ``action`` takes. The lab is taken down afterwards."""

    def way() -> float:
        project = with_free_prefixes(LabProject.of_file(topologies.default(), name, environ={}))
        try:
            started = time.perf_counter()
            action(project)
            return time.perf_counter() - started
        finally:
            project.down()

    return way


def with_free_prefixes(project: LabProject) -> LabProject:
    """The lab with prefixes that are free now, for a start without `lab up`."""
    with Engine() as engine:
        plan = project.plan((subnet for subnet, _ in engine.subnets()), seed=project.project)
    return replace(project, prefixes=prefix_choice.of_plan(plan), free=False)


def bare(project: LabProject) -> None:
    nodes = [node.name for node in project.nodes()]
    argv = project.compose("-f", str(COMPOSE_FILE), "up", "--detach", "--wait", *nodes)
    subprocess.run(argv, env=project.environment(), capture_output=True, check=True, timeout=TIMEOUT)


def through_python(project: LabProject) -> None:
    project = LabProject.of_file(topologies.default(), project.project, environ={}).up()
    with from_engine(project.project) as lab:
        lab.connect()
        for host in lab.hosts:
            host.run("true", check=True)


def through_cli(project: LabProject) -> None:
    argv = [sys.executable, "-m", "lab", "up", "--quiet", "--project", project.project]
    subprocess.run(argv, cwd=ROOT, capture_output=True, check=True, timeout=TIMEOUT)
