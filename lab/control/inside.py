"""The lab from inside: the runner reaches its nodes over mgmt, and has no engine."""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from lab.control.errors import EnvironmentFailure, Unsupported
from lab.control.host import Host, Node
from lab.control.lab import Lab, ignore
from lab.control.ssh import CONNECT_TIMEOUT, Connection, Identity
from lab.evidence.events import Observe


@contextmanager
def from_mgmt(observe: Observe = ignore, environ: Mapping[str, str] = os.environ) -> Iterator[Lab]:
    """The lab whose nodes LAB_HOSTS tells. Raises EnvironmentFailure where this isn't the runner."""
    try:
        nodes = [Node.described(entry["service"], entry) for entry in json.loads(environ["LAB_HOSTS"])]
        key, known_hosts = Path(environ["LAB_SSH_KEY"]), Path(environ["LAB_KNOWN_HOSTS"])
    except KeyError as error:
        raise EnvironmentFailure(f"{error} is not set: this runs in the lab's runner") from None
    lab = Lab((_host(node, key, known_hosts, observe) for node in nodes), observe, "runner")
    try:
        yield lab
    finally:
        lab.close()


def _host(node: Node, key: Path, known_hosts: Path, observe: Observe) -> Host:
    def dial() -> Connection:
        try:
            identity = Identity.of(node.name, key.read_text(), known_hosts.read_text())
            carrier = socket.create_connection((node.name, 22), CONNECT_TIMEOUT)
        except OSError as error:
            raise EnvironmentFailure(f"{node.name}: {error}") from error
        carrier.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return Connection(node.name, carrier, identity)

    return Host(node, dial, NoPower(), observe)


class NoPower:
    """No container ever gets the Docker socket, so the runner can't cut a host's power."""

    def _refuse(self) -> None:
        raise Unsupported("power needs the engine: play this scenario from outside, with `lab run`")

    off = on = pause = resume = _refuse

    def restore(self) -> bool:
        """Nothing: a host that is off can't be reached anyway."""
        return False
