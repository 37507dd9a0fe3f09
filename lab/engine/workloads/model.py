"""The state and the output of a container, as the engine reports them. No I/O."""

from __future__ import annotations

import struct
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

NEVER = "0001-01-01T00:00:00Z"  # the engine's time of an event that hasn't happened
START = 0  # the position before the first line of output
BILLION = 10**9
HEADER = struct.Struct(">BxxxL")  # of a frame: stream, length of the payload; Engine API, "attach"
STREAMS = {1: "stdout", 2: "stderr"}
LAST_SIGNAL = 31  # the last one that isn't a real-time signal


@dataclass(frozen=True)
class WorkloadState:
    """The state of a container.

    ``started`` and ``finished`` are the engine's times of its last start and end; 0 if it has had none.
    """

    status: str  # created | running | paused | restarting | removing | exited | dead
    exit_code: int = 0  # of the last run; above 128 if a signal ended it
    out_of_memory: bool = False  # the kernel killed a process of the container
    error: str = ""  # why it couldn't be started
    started: float = 0.0
    finished: float = 0.0
    health: str = ""  # starting | healthy | unhealthy; "" if it has no health check

    @classmethod
    def from_inspect(cls, state: Mapping[str, Any]) -> WorkloadState:
        """From the field State of the engine's description of a container."""
        return cls(
            status=state["Status"],
            exit_code=state["ExitCode"],
            out_of_memory=state["OOMKilled"],
            error=state["Error"],
            started=seconds(state["StartedAt"]),
            finished=seconds(state["FinishedAt"]),
            health=(state.get("Health") or {}).get("Status", "").replace("none", ""),
        )

    @property
    def running(self) -> bool:
        return self.status in ("running", "paused")


@dataclass(frozen=True)
class LogEntry:
    """A line of output, or a piece of a line of more than 16 KiB; ``data`` includes the line end.

    ``position`` is the engine's time in nanoseconds at which the line was logged. It is the same for all
    pieces of a line.
    """

    position: int
    stream: str  # stdout | stderr; with a terminal both are stdout
    data: bytes

    @property
    def at(self) -> float:
        return self.position / BILLION


def seconds(timestamp: str) -> float:
    """An engine's timestamp (RFC 3339 with nanoseconds) as seconds since the epoch; 0 if it is unset."""
    return nanoseconds(timestamp) / BILLION


def nanoseconds(timestamp: str) -> int:
    """The timestamp in nanoseconds, without rounding. Raises ValueError if it isn't one."""
    if timestamp == NEVER:
        return 0
    whole, _, fraction = timestamp.removesuffix("Z").partition(".")
    return int(datetime.fromisoformat(f"{whole}+00:00").timestamp()) * BILLION + int(f"{fraction:0<9}"[:9])


def exit_signal(exit_code: int) -> int:
    """The signal that an exit code stands for; 0 if it stands for none.

    The engine reports a process that a signal ended as a shell does: 128 and the number of the signal. A
    process that exits with such a code by itself can't be told apart.
    """
    number = exit_code - 128
    return number if 0 < number <= LAST_SIGNAL else 0
