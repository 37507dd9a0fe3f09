"""Starts a lab if it isn't up, and sends a packet each way between neighbouring nodes.

The rules don't show for certain whether packets pass: there are two packet filters, and other programs
change them.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise

from lab.control.host import Host
from lab.control.lab import Lab
from lab.control.transport import from_engine
from lab.doctor.checks.crossing import Crossing
from lab.engine.compose import Report, silent
from lab.engine.lifecycle.project import LabProject

WAIT = 2  # seconds for an answer
WORKERS = 8  # packets on their way at the same time


def crossings(project: LabProject, report: Report = silent) -> list[Crossing]:
    """Sends the packets. A lab that had to be started is taken down. Raises EnvironmentFailure."""
    with project.running(report=report), from_engine(project.project) as lab:
        lab.connect()
        with ThreadPoolExecutor(WORKERS) as pool:
            return list(pool.map(lambda way: _sent(lab, *way), _ways(lab.hosts)))


def _ways(hosts: Iterable[Host]) -> Iterator[tuple[str, str, str, str]]:
    """Source, destination, segment and address, both ways, of neighbours in the list of each segment."""
    by_segment: dict[str, list[tuple[str, str, str]]] = {}
    for host in hosts:
        for each in host.node.interfaces:
            by_segment.setdefault(each.segment, []).append((host.name, each.address, each.address6))
    for segment, nodes in by_segment.items():
        for one, other in pairwise(nodes):
            for (source, *_), (destination, *addresses) in ((one, other), (other, one)):
                for address in filter(None, addresses):
                    yield source, destination, segment, address.partition("/")[0]


def _sent(lab: Lab, source: str, destination: str, segment: str, address: str) -> Crossing:
    done = lab[source].run(f"ping -n -c 1 -W {WAIT} {address}", timeout=WAIT + 10)
    return Crossing(source, destination, segment, 6 if ":" in address else 4, answered=done.exit_code == 0)
