"""The interface of a user's container on a host; lab.engine.workloads implements it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Protocol

from lab.control.process import Session
from lab.engine.workloads.model import LogEntry, WorkloadState


class ExecSession(Session, Protocol):
    """A command in a container. ``refused`` says why the engine couldn't start it; "" if it could."""

    refused: str


class OutputLog(Iterable[LogEntry], Protocol):
    """Lines of output as they come; ``close`` ends the iteration, from any thread."""

    def close(self) -> None: ...


class Workload(Protocol):
    """A user's container on a host. All methods raise EnvironmentFailure if the engine fails."""

    name: str

    @property
    def image(self) -> str: ...
    @property
    def argv(self) -> list[str]: ...
    def state(self) -> WorkloadState: ...
    def execute(self, argv: Sequence[str], /) -> ExecSession: ...
    def log(self, position: int, /, *, follow: bool = False) -> OutputLog: ...
    def position(self) -> tuple[int, int]: ...
    def last_lines(self, count: int, /) -> list[str]: ...
