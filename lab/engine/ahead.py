"""Connects to the nodes of a lab in the background, while a command still imports what it needs."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from types import TracebackType

from lab.engine.client import Engine
from lab.engine.docker_transport import DockerTransport
from lab.errors import LabError


class ConnectedAhead:
    """The transport of a lab that may be up. A failure is ignored: who needs the lab finds it again."""

    def __init__(self, project: str, command: str) -> None:
        """``command`` is one that each node needs first: it is started there, too."""
        self.project = project
        self._command = command
        self._engine: Engine | None = None
        pool = ThreadPoolExecutor(max_workers=1, thread_name_prefix=f"connect to {project}")
        self._opening = pool.submit(self._open)
        pool.shutdown(wait=False)

    def __enter__(self) -> ConnectedAhead:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, place: TracebackType | None
    ) -> None:
        if (transport := self.transport()) is not None:
            transport.close()
        if self._engine is not None:
            self._engine.close()

    def transport(self) -> DockerTransport | None:
        """The transport, whose first ``dial`` of each node returns sooner; None if the lab wasn't up."""
        with suppress(LabError):
            return self._opening.result()
        return None

    def _open(self) -> DockerTransport:
        self._engine = Engine()
        transport = DockerTransport(self._engine, self.project)
        transport.dial_all(self._command)
        return transport
