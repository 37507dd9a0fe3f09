"""Nodes found, powered and reached through the Docker Engine; no port is published."""

from __future__ import annotations

import threading
from collections.abc import Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from http import HTTPStatus
from typing import TYPE_CHECKING

from lab.engine.client import SERVICE_LABEL, Engine
from lab.engine.http.api import ApiError
from lab.engine.http.container import Container
from lab.engine.nodes.power import ContainerPower
from lab.engine.workloads.workload import EngineWorkload, workloads_of
from lab.errors import EnvironmentFailure, LabError
from lab.locale import message
from lab.remote.ssh import Connection, Identity
from lab.topology.node import FILE, Node, from_file

if TYPE_CHECKING:
    from lab.engine.nodes.exec_log import ExecLog

WORKERS = 16  # threads that wait for nodes
KEYS = "/etc/socketlab/keys"
# The exec stream is relayed to the host's own sshd. `sshd -i` on the stream itself would take seconds: it
# resolves the name of a peer that has none. nodelay: a command takes many small messages both ways.
RELAY = ["socat", "STDIO", "TCP4:127.0.0.1:22,nodelay"]


class DockerTransport:
    """The nodes of the running lab ``project``."""

    def __init__(self, engine: Engine, project: str) -> None:
        """Raises EnvironmentFailure if there is no such lab."""
        self._engine, self._project = engine, project
        self._log: ExecLog | None = None
        self._lock = threading.Lock()
        self._dialled: dict[str, Future[Connection]] = {}  # by ``dial_all``, not yet used
        self._containers: dict[str, Container] = {
            container.labels[SERVICE_LABEL]: container for container in engine.nodes(project)
        }
        self._workloads = workloads_of(engine, project, self._containers)
        if not self._containers:
            raise EnvironmentFailure(
                message("no lab {project!r} is up; `lab up` starts one", project=project)
            )

    def nodes(self) -> list[Node]:
        """Raises EnvironmentFailure if the lab was started by another version."""
        return described_nodes(self._engine, self._containers.values())

    def dial(self, node: Node) -> Connection:
        """A new SSH connection to the node. Raises EnvironmentFailure."""
        with suppress(KeyError, LabError):  # one that failed is tried again
            connection = self._dialled.pop(node.name).result()
            if connection.alive:
                return connection
        try:
            return self._dial(node.name)
        except ApiError as error:
            if error.status == HTTPStatus.CONFLICT:
                raise _not_running(node, self._containers[node.name]) from error
            if error.status != HTTPStatus.NOT_FOUND:
                raise
        self._containers[node.name].reload()  # another process has replaced it
        return self._dial(node.name)

    def dial_all(self, command: str) -> None:
        """Dials all nodes in the background, for the first ``dial`` of each, and starts ``command`` there."""
        pool = ThreadPoolExecutor(max_workers=WORKERS, thread_name_prefix="dial")
        for name in self._containers:
            self._dialled[name] = pool.submit(self._dial_and_start, name, command)
        pool.shutdown(wait=False)

    def _dial_and_start(self, name: str, command: str) -> Connection:
        connection = self._dial(name)
        with suppress(LabError):  # it is started when it is needed
            connection.execute_ahead(command)
        return connection

    def _dial(self, name: str) -> Connection:
        container = self._containers[name]
        files = self._engine.read_files(container, KEYS)
        identity = Identity.of(name, files["user"].decode(), files["known_hosts"].decode())
        return Connection(name, self._engine.open_stream(container, RELAY), identity)

    def power(self, node: Node) -> ContainerPower:
        workload = self._workloads.get(node.name)
        return ContainerPower(self._containers[node.name], workload, node.ready, self._exec_log)

    def _exec_log(self) -> ExecLog:
        """The commands that are run in the lab's containers, from the first call on."""
        from lab.engine.nodes.exec_log import ExecLog  # not at the top: it needs the Docker SDK

        with self._lock:
            if self._log is None:
                self._log = ExecLog(self._engine, self._project)
            return self._log

    def close(self) -> None:
        """Closes the connections that nobody has used, and the log."""
        while self._dialled:
            with suppress(LabError):
                self._dialled.popitem()[1].result().close()
        if self._log is not None:
            self._log.close()

    def workload(self, node: Node) -> EngineWorkload | None:
        """The user's container on the node."""
        return self._workloads.get(node.name)


def _not_running(node: Node, container: Container) -> EnvironmentFailure:
    """Why no command can be started in the container."""
    container.reload()
    if container.attrs["State"]["Paused"]:
        return EnvironmentFailure(message("{host} is paused", host=node.title))
    return EnvironmentFailure(message("{host} is without power; power_on() starts it", host=node.title))


def described_nodes(engine: Engine, containers: Iterable[Container]) -> list[Node]:
    """The nodes of these containers, running or not. Raises EnvironmentFailure."""
    by_service = {container.labels[SERVICE_LABEL]: container for container in containers}
    if not by_service:
        return []
    files = engine.read_files(next(iter(by_service.values())), FILE)
    return [node for text in files.values() for node in from_file(text.decode()) if node.name in by_service]
