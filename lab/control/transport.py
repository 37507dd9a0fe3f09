"""The ways to open a lab: through the Docker Engine, from the runner over mgmt, or as real machines."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from lab.control.faults import Power
from lab.control.host import Host
from lab.control.lab import Lab, ignore
from lab.control.machines import Machine, MachineLab
from lab.control.observers import EventFanout
from lab.control.workload import Workload
from lab.evidence.events import Observe
from lab.remote.ssh import Connection
from lab.topology.node import Node

if TYPE_CHECKING:
    from lab.engine.docker_transport import DockerTransport


class Transport(Protocol):
    """Reaches the nodes of one lab."""

    def nodes(self) -> Sequence[Node]: ...
    def dial(self, node: Node, /) -> Connection: ...
    def power(self, node: Node, /) -> Power: ...
    def workload(self, node: Node, /) -> Workload | None: ...


@contextmanager
def from_engine(
    project: str, observe: Observe = ignore, transport: DockerTransport | None = None
) -> Iterator[Lab]:
    """The running lab ``project``. Raises EnvironmentFailure if there is no engine or no such lab.

    ``transport`` is the way to its nodes, if that is open already.
    """
    if transport is not None:
        with _opened(transport, observe, project) as lab:
            yield lab
        return
    from lab.engine.client import Engine  # not at the top: the runner has no Docker SDK
    from lab.engine.docker_transport import DockerTransport

    with Engine() as engine, _opened(DockerTransport(engine, project), observe, project) as lab:
        yield lab


@contextmanager
def from_mgmt(observe: Observe = ignore, environ: Mapping[str, str] = os.environ) -> Iterator[Lab]:
    """The lab that this is the runner of. Raises EnvironmentFailure if this isn't the runner."""
    from lab.remote.mgmt_transport import MgmtTransport

    with _opened(MgmtTransport(environ), observe, "runner") as lab:
        yield lab


@contextmanager
def from_inventory(path: Path, observe: Observe = ignore) -> Iterator[Lab]:
    """The machines of the inventory in the file ``path``. Raises UsageError if it isn't valid."""
    from lab.remote.machine_transport import MachineTransport

    with _opened(MachineTransport(path), observe, path.stem, Machine, MachineLab) as lab:
        yield lab


@contextmanager
def _opened(
    transport: Transport,
    observe: Observe,
    title: str,
    host: type[Host] = Host,
    lab_of: type[Lab] = Lab,
) -> Iterator[Lab]:
    observers = EventFanout(observe)
    hosts = [
        host(node, partial(transport.dial, node), transport.power(node), observers, transport.workload(node))
        for node in transport.nodes()
    ]
    lab = lab_of(hosts, observers, title)
    try:
        yield lab
    finally:
        lab.close()
