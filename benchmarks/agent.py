"""The agent of a node: a request to it, and its start."""

from __future__ import annotations

from collections.abc import Iterator

from benchmarks.rig import Rig
from benchmarks.table import SECONDS, Table, alternate, timed
from lab.control.host import Host

COMMAND, CLOCK, SHOW, SUDO, START = 'Host.run("true")', "clock", "show", "sudo", "start"


def measure(rig: Rig) -> Iterator[Table]:
    yield requests(rig)


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
    table.at_most(0.002, CLOCK, table.median(CLOCK), SECONDS)
    table.at_most(0.005, SHOW, table.median(SHOW), SECONDS)
    return table


def start(host: Host) -> float:
    host.agent.close()
    return timed(lambda: host.agent.request("clock", timeout=10))()
