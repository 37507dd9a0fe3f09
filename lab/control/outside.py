"""The lab from outside: found, powered and reached through the Docker Engine; no port is published."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from docker.models.containers import Container

from lab.control.engine import SERVICE_LABEL, ContainerPower, Engine
from lab.control.errors import EnvironmentFailure
from lab.control.host import Host, Node
from lab.control.lab import Lab, ignore
from lab.control.ssh import Connection, Identity
from lab.evidence.events import Observe

KEYS = "/etc/socketlab/keys"
# The exec stream ends in a TCP connection to the host's own sshd. Not `sshd -i`: it looks for a peer's
# name that isn't there, for seconds. nodelay: a command is many small messages both ways.
RELAY = ["socat", "STDIO", "TCP4:127.0.0.1:22,nodelay"]


@contextmanager
def from_engine(project: str, observe: Observe = ignore) -> Iterator[Lab]:
    """The running lab ``project``. Raises EnvironmentFailure where there is no engine or no such lab."""
    with Engine() as engine:
        containers = engine.nodes(project)
        if not containers:
            raise EnvironmentFailure(f"no lab {project!r} is up; `lab up` starts one")
        lab = Lab((_host(engine, container, observe) for container in containers), observe, project)
        try:
            yield lab
        finally:
            lab.close()


def _host(engine: Engine, container: Container, observe: Observe) -> Host:
    node = Node.described(container.labels[SERVICE_LABEL], container.labels, prefix="socketlab.")

    def dial() -> Connection:
        files = engine.read_files(container, KEYS)
        identity = Identity.of(node.name, files["user"].decode(), files["known_hosts"].decode())
        return Connection(node.name, engine.open_stream(container, RELAY), identity)

    return Host(node, dial, ContainerPower(container), observe)
