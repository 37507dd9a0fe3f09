"""Logs in to each node of a lab while the lab is starting."""

from __future__ import annotations

from collections.abc import Collection
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from types import TracebackType
from typing import TYPE_CHECKING

from lab.engine.lifecycle.startup import StartObserver

if TYPE_CHECKING:  # imported while Compose runs
    from lab.engine.docker_transport import DockerTransport
    from lab.topology.node import Node

    Nodes = tuple[DockerTransport, dict[str, Node]]

WORKERS = 16  # logins at the same time


class Logins(StartObserver):
    """Logs in to each node as soon as it is up, while the other nodes are still coming up."""

    def __init__(self, project: str) -> None:
        self._project = project
        self._pool = ThreadPoolExecutor(WORKERS, thread_name_prefix="login")
        self._opened = ExitStack()
        self._nodes: Future[Nodes] | None = None
        self._logins: dict[str, Future[None]] = {}

    def __enter__(self) -> Logins:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._pool.shutdown(cancel_futures=True)
        self._opened.close()

    def compose_started(self) -> None:
        self._pool.submit(_import_transport)

    def nodes_up(self, names: Collection[str]) -> None:
        if self._nodes is None:
            self._nodes = self._pool.submit(self._find_nodes)
        for name in names:
            if name not in self._logins:
                self._logins[name] = self._pool.submit(_login, self._nodes, name)

    def wait(self) -> None:
        """Returns when all nodes have accepted a login. Raises EnvironmentFailure."""
        for login in self._logins.values():
            login.result()

    def _find_nodes(self) -> Nodes:
        from lab.engine.client import Engine
        from lab.engine.docker_transport import DockerTransport

        transport = DockerTransport(self._opened.enter_context(Engine()), self._project)
        return transport, {node.name: node for node in transport.nodes()}


def _login(nodes: Future[Nodes], name: str) -> None:
    transport, by_name = nodes.result()
    transport.dial(by_name[name]).close()


def _import_transport() -> None:
    import lab.engine.docker_transport  # noqa: F401
