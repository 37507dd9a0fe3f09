"""The time of a remote command from the client: lab-command run and ssh compared."""

from __future__ import annotations

import time
from collections.abc import Iterator

from benchmarks.rig import Rig, serving
from benchmarks.table import SECONDS, Table, Way, alternate, timed
from lab.control.host import Host

MANY = 200  # commands on one connection
PORT = 20_400
TIMEOUT = 120.0
OURS, MUX = "lab-command run, on an open session", "ssh, multiplexed"
ONE, ONE_SSH = "lab-command run, one command", "ssh, one command"
# One connection for all commands. The first ssh becomes the master in the background.
MASTER = "-o ControlMaster=auto -o ControlPersist=60 -o ControlPath=/tmp/bench-master"


def measure(rig: Rig) -> Iterator[Table]:
    client = rig.lab.client
    table = Table("A remote command (`true`), client to server, across the router", SECONDS, base=ONE_SSH)
    table.remarks |= {
        OURS: f"per command: {MANY} lines on standard input, without the first one",
        MUX: f"per command: {MANY} client processes on one connection, without the first one",
        ONE: "process, connection, command",
        ONE_SSH: "process, connection, login, command",
    }
    with serving(rig.lab.server, f"lab-command serve --port {PORT}"):
        ways = {
            OURS: each_of_many(client, f"yes true | head -n %d | lab-command run --port {PORT} server"),
            MUX: each_of_many(client, f"for i in $(seq %d); do ssh -n {MASTER} server true; done"),
            ONE: timed(lambda: client.run(f"lab-command run --port {PORT} server true", check=True)),
            ONE_SSH: timed(lambda: client.run("ssh -n server true", check=True)),
        }
        try:
            alternate(table, ways, rig.rounds(7))
        finally:
            client.run(f"ssh {MASTER} -O exit server")
    table.at_most(0.003, "`true` with lab-command on an open session", table.median(OURS), SECONDS)
    yield table


def each_of_many(client: Host, command: str) -> Way:
    """The time of each additional command. ``command`` has a %d for the number of commands."""

    def seconds(count: int) -> float:
        started = time.perf_counter()
        client.run(command % count, check=True, timeout=TIMEOUT)
        return time.perf_counter() - started

    return lambda: (seconds(MANY + 1) - seconds(1)) / MANY
