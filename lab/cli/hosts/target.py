"""The host of a command, without the rest of the lab.

A command that only needs one host connects to it directly: all that `lab.control` imports takes longer than
the command.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from enum import StrEnum

from lab.engine.client import Engine
from lab.engine.docker_transport import DockerTransport
from lab.engine.workloads.workload import EngineWorkload
from lab.errors import UsageError
from lab.locale import message
from lab.remote.ssh import Connection
from lab.topology.node import Node


class Place(StrEnum):
    """The two places on a host where a command can run."""

    host = "host"
    container = "container"


def place_of(on: str | None) -> Place | None:
    """The value of the option --on. Raises UsageError."""
    if on is None or on in list(Place):
        return None if on is None else Place(on)
    raise UsageError(message("no place {name!r}; there are: {known}", name=on, known=", ".join(Place)))


@dataclass
class Target:
    """A node of a running lab."""

    node: Node
    _transport: DockerTransport

    def dial(self) -> Connection:
        """A new SSH connection. Raises EnvironmentFailure."""
        return self._transport.dial(self.node)

    def container(self, on: Place | None) -> EngineWorkload | None:
        """The user's container if a command is meant for it, by the option --on; None for the host itself.

        Without --on it is the container if the host has one. Raises UsageError if --on asks for one and there
        is none.
        """
        if on is Place.host:
            return None
        found = self._transport.workload(self.node)
        if found is None and on is Place.container:
            raise UsageError(
                message("{host} has no container of yours: leave out --on container", host=self.node.title)
            )
        return found


class Targets:
    """The nodes of a running lab, by any of their names."""

    def __init__(self, transport: DockerTransport) -> None:
        self._transport = transport
        self._nodes = {name: node for node in transport.nodes() for name in {node.name, *node.names}}

    @property
    def first_host(self) -> str:
        """The name of the first host; the routers don't count."""
        return next(name for name, node in self._nodes.items() if node.role == "host")

    def __getitem__(self, name: str) -> Target:
        """Raises UsageError if there is no such node."""
        if name not in self._nodes:
            known = ", ".join(sorted(self._nodes))
            raise UsageError(message("no node {name!r}; there are {known}", name=name, known=known))
        return Target(self._nodes[name], self._transport)


@contextmanager
def targets_of(project: str) -> Iterator[Targets]:
    """The nodes of the running lab ``project``. Raises EnvironmentFailure."""
    with Engine() as engine:
        yield Targets(DockerTransport(engine, project))
