"""The agent of a node: a request to it, its start; the start of the lab's programs."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

from benchmarks.rig import Rig
from benchmarks.run import in_ms
from benchmarks.table import SECONDS, Table, alternate, timed
from lab.control.host import Host

COMMAND, CLOCK, SHOW, SUDO, START = 'Host.run("true")', "clock", "show", "sudo", "start"
PYTHON, ECHO, TRANSFER = "python3", "lab-echo", "lab-transfer"


def measure(rig: Rig) -> Iterator[Table]:
    yield requests(rig)
    yield programs(rig)


def requests(rig: Rig) -> Table:
    table = Table("A request to the agent of a node", SECONDS, base=COMMAND)
    table.remarks[SHOW] = "the settings of the router's links, which the agent's root half reads"
    table.remarks[SUDO] = "a program that runs as root, without the agent: sudo and the start of Python"
    table.remarks[START] = "the agent is started, and answers"
    client, router = rig.lab.client, rig.lab.router
    request = {"op": "show"}
    ways = {
        COMMAND: timed(lambda: client.run("true", check=True)),
        CLOCK: timed(lambda: client.agent.request("clock", timeout=10)),
        SHOW: timed(lambda: router.agent.request("impair", timeout=30, request=request)),
        SUDO: timed(lambda: client.run("sudo -n /usr/lib/socketlab/raw true", check=True)),
        START: lambda: start(client),
    }
    alternate(table, ways, rig.rounds(20))
    table.at_most(2.0, "median of clock, in ms", in_ms(table.median(CLOCK)))
    table.at_most(5.0, "median of show, in ms", in_ms(table.median(SHOW)))
    return table


def start(host: Host) -> float:
    host.agent.close()
    return timed(lambda: host.agent.request("clock", timeout=10))()


def programs(rig: Rig) -> Table:
    table = Table("The start of a program on a node, up to its --help", SECONDS, base=PYTHON)
    table.remarks[PYTHON] = "python3 with argparse and json"
    client = rig.lab.client
    lines = {
        PYTHON: 'python3 -c "import argparse, json"',
        ECHO: "lab-echo --help",
        TRANSFER: "lab-transfer --help",
    }
    ways = {name: timed(partial(client.run, line, check=True)) for name, line in lines.items()}
    alternate(table, ways, rig.rounds(20))
    return table
