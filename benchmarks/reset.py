"""A reset of the lab's three nodes, clean and used, compared with restarting them."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator

from benchmarks.rig import Rig
from benchmarks.table import SECONDS, Table, alternate, timed
from lab.control.lab import Lab

TIMEOUT = 120
RESTART, CLEAN, USED, REPLACE = "docker restart", "clean", "used", "replaced"
GOAL = 0.05  # seconds. Containerlab and Mininet build the nodes anew; neither is a package of Debian
USE = "(nc -l 700 & nc -lu 701 & sleep 60 &) >/dev/null 2>&1 </dev/null; touch /tmp/a ~/b; ping -qc1 {other}"


def measure(rig: Rig) -> Iterator[Table]:
    lab = rig.lab
    table = Table("A reset of three nodes", SECONDS, base=RESTART)
    table.remarks[RESTART] = "docker restart -t 0 of the three containers, without waiting for logins"
    table.remarks[CLEAN] = "Lab.reset; nothing differs"
    table.remarks[USED] = "Lab.reset; on each host three processes, sockets, files, and traffic"
    table.remarks[REPLACE] = "Lab.reset; one host is replaced"
    lab.reset()  # the first one starts the agents
    ways = {
        RESTART: lambda: restart(lab),
        CLEAN: lambda: clean(lab),
        USED: lambda: used(lab),
        REPLACE: lambda: replaced(lab),
    }
    alternate(table, ways, rig.rounds(10))
    table.at_most(GOAL, CLEAN, table.median(CLEAN), SECONDS)
    table.at_most(GOAL, USED, table.median(USED), SECONDS)
    yield table


def clean(lab: Lab) -> float:
    lab.reset()
    return timed(lambda: lab.reset())()


def used(lab: Lab) -> float:
    for host, other in ((lab.client, lab.server), (lab.server, lab.client)):
        host.run(USE.format(other=other.address), check=True)
    return timed(lambda: lab.reset())()


def replaced(lab: Lab) -> float:
    lab.server.run("prlimit --nofile=1000:1000 --pid $(pgrep -o -x sshd)", check=True)
    return timed(lambda: lab.reset())()


def restart(lab: Lab) -> float:
    names = [f"{lab.title}-{host.name}-1" for host in lab.hosts]
    argv = ["docker", "restart", "-t", "0", *names]
    seconds = timed(lambda: subprocess.run(argv, check=True, capture_output=True, timeout=TIMEOUT))()
    for host in lab.hosts:
        host.disconnect()
    lab.reset()
    return seconds
