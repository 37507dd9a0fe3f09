"""Reaches the nodes over mgmt, the out-of-band network. The runner has no access to the Docker Engine."""

from __future__ import annotations

import os
import socket
from collections.abc import Collection, Mapping
from pathlib import Path

from lab.errors import EnvironmentFailure, Unsupported
from lab.locale import Message
from lab.remote.ssh import CONNECT_TIMEOUT, Connection, Identity
from lab.topology.node import Node, from_file


class MgmtTransport:
    """The nodes in the file that LAB_TOPOLOGY names."""

    def __init__(self, environ: Mapping[str, str] = os.environ) -> None:
        """Raises EnvironmentFailure if this isn't the runner."""
        try:
            self._nodes = from_file(Path(environ["LAB_TOPOLOGY"]).read_text())
            self._key, self._known_hosts = Path(environ["LAB_SSH_KEY"]), Path(environ["LAB_KNOWN_HOSTS"])
        except KeyError as error:
            raise EnvironmentFailure(f"{error} is not set: it is set only in the lab's runner") from None

    def nodes(self) -> list[Node]:
        return self._nodes

    def dial(self, node: Node) -> Connection:
        """A new SSH connection to the node. Raises EnvironmentFailure."""
        try:
            identity = Identity.of(node.name, self._key.read_text(), self._known_hosts.read_text())
            carrier = socket.create_connection((node.name, 22), CONNECT_TIMEOUT)
        except OSError as error:
            raise EnvironmentFailure(f"{node.name}: {error}") from error
        carrier.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return Connection(node.name, carrier, identity)

    def power(self, _: Node) -> NoPower:
        # No container has access to the Docker socket.
        return NoPower("power needs the engine: play this scenario from outside, with `lab run`")

    def workload(self, _: Node) -> None:
        """Only the engine can reach a user's container."""


class NoPower:
    """The power of a node that can't be switched. Refuses everything, with the reason."""

    def __init__(self, reason: str | Message) -> None:
        self._reason = reason

    def _refuse(self) -> None:
        raise Unsupported(self._reason)

    off = on = pause = resume = replace = replace_workload = _refuse

    def restore(self) -> bool:
        """Does nothing: a host that is off can't be reached from here anyway."""
        return False

    def unexpected_files(self, places: Collection[str]) -> list[str]:
        """Nothing is known: the engine can't be asked."""
        return []

    def workload_was_used(self) -> bool:
        return False
