"""Logs in to each node of a lab while the lab is starting."""

from __future__ import annotations

from collections.abc import Collection
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from types import TracebackType
from typing import TYPE_CHECKING

from lab.engine.lifecycle.startup import StartObserver

if TYPE_CHECKING:  # imported while Compose runs
    from lab.control.lab import Lab

WORKERS = 16  # logins at the same time


class Logins(StartObserver):
    """Logs in to each node as soon as it is up, while the other nodes are still coming up."""

    def __init__(self, project: str) -> None:
        self._project = project
        self._pool = ThreadPoolExecutor(WORKERS, thread_name_prefix="login")
        self._opened = ExitStack()
        self._lab: Future[Lab] | None = None
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
        if self._lab is None:
            self._lab = self._pool.submit(self._open)
        for name in names:
            if name not in self._logins:
                self._logins[name] = self._pool.submit(self._login, self._lab, name)

    def wait(self) -> None:
        """Returns when all nodes have accepted a login. Raises EnvironmentFailure."""
        for login in self._logins.values():
            login.result()

    def _open(self) -> Lab:
        from lab.control.transport import from_engine

        return self._opened.enter_context(from_engine(self._project))

    def _login(self, lab: Future[Lab], name: str) -> None:
        lab.result()[name].connect()


def _import_transport() -> None:
    import lab.control.transport
    import lab.engine.docker_transport  # noqa: F401
