"""The events of a run, with times by the controller's clock. There is one class for each kind of event.

Rules and checks read the fields. An event as text: event_text; in events.jsonl: event_json.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar, Literal, TypeAlias

from lab.evidence.endpoint import Endpoint
from lab.link.settings import LinkSettings
from lab.link.verification import Check

Stream: TypeAlias = Literal["stdout", "stderr"]
Edge: TypeAlias = Literal["begin", "end"]
Measured: TypeAlias = dict[str, list[Check]]  # by direction


@dataclass(frozen=True)
class Event:
    """Something that happened at ``at`` (seconds since the epoch) on ``node``: a host, a router, or "lab"."""

    kind: ClassVar[str]
    at: float
    node: str


@dataclass(frozen=True)
class ProgramEvent(Event):
    """An event of a program. ``program`` numbers the programs of a run, from 1."""

    program: int


@dataclass(frozen=True)
class ProgramStarted(ProgramEvent):
    kind = "start"
    command: str


@dataclass(frozen=True)
class Output(ProgramEvent):
    """A line of output. ``message`` is the JSON object that a program printed with --json."""

    kind = "output"
    stream: Stream
    line: str
    message: dict[str, Any] | None = None


@dataclass(frozen=True)
class ProgramExited(ProgramEvent):
    """A program ended: ``exit_code`` if it exited, ``signal`` ("TERM") if a signal killed it."""

    kind = "exit"
    exit_code: int | None = None
    signal: str | None = None


@dataclass(frozen=True)
class WorkloadStarted(ProgramEvent):
    """The user's container on a host runs, from the beginning of the run or after a restart.

    Its lines of output have the same ``program``.
    """

    kind = "container"
    container: str
    image: str
    command: str


@dataclass(frozen=True)
class WorkloadEnded(ProgramEvent):
    """The user's container on a host ended, or isn't running at the beginning of the run.

    ``exit_code`` and ``signal`` are None if they are unknown. ``last_lines`` is the end of its output.
    """

    kind = "container-end"
    container: str
    exit_code: int | None = None
    signal: str | None = None
    out_of_memory: bool = False
    error: str = ""  # why it couldn't be started
    earlier: float = 0.0  # seconds between its end and the beginning of the run
    last_lines: str = ""


@dataclass(frozen=True)
class FaultChanged(Event):
    """A fault of a node began or ended. ``fault`` names it: "power cut".

    ``container`` is the user's container on the node, which has the fault too.
    """

    kind = "fault"
    fault: str
    edge: Edge
    container: str = ""


@dataclass(frozen=True)
class LinkChanged(Event):
    """A link's settings were changed. ``backend`` is "" if nothing impairs the link.

    ``link`` is its name, as in the following classes, or "" if its router has no other link.
    """

    kind = "link"
    asked: LinkSettings
    backend: str = ""
    link: str = ""


@dataclass(frozen=True)
class LinkMeasured(Event):
    """A link was measured."""

    kind = "measurement"
    measured: Measured
    link: str = ""


@dataclass(frozen=True)
class LinkFailed(Event):
    """A link doesn't behave as requested."""

    kind = "link-failure"
    reason: str
    link: str = ""


@dataclass(frozen=True)
class Note(Event):
    """A remark of the scenario or of the lab."""

    kind = "note"
    text: str


@dataclass(frozen=True)
class VariantBegan(Event):
    """A variant of the scenario began; it lasts until the next one."""

    kind = "variant"
    variant: str


@dataclass(frozen=True)
class SocketChanged(Event):
    """A socket was opened, changed its state or its queues, or was closed."""

    kind = "socket"
    id: int  # the same for the life of the socket
    protocol: Literal["tcp", "udp"]
    family: int  # 4 | 6; a socket of family 6 accepts IPv4 too, unless IPV6_V6ONLY is set
    local: Endpoint
    remote: Endpoint
    state: str  # LISTEN …; of UDP OPEN or CONNECTED; "" if it is closed
    was: str  # the state before; "" if it is new
    receive_queue: int  # bytes; for a LISTEN socket, the number of connections not yet accepted
    send_queue: int  # bytes; for a LISTEN socket, its backlog
    pid: int = 0  # the process that has a LISTEN or UDP socket open; 0 if unknown
    command: str = ""


@dataclass(frozen=True)
class CounterChanged(Event):
    """A counter of the node's kernel changed: ``name`` is "Udp.RcvbufErrors"."""

    kind = "counter"
    name: str
    value: int
    change: int


@dataclass(frozen=True)
class PacketPassed(Event):
    """A packet was seen in a capture. For ``fate`` and ``mark`` see lab.evidence.packets.transit."""

    kind = "packet"
    segment: str
    number: int  # in its capture, from 1
    protocol: str
    source: Endpoint
    destination: Endpoint
    label: str
    flags: str
    length: int  # bytes of payload
    fate: str
    mark: str = ""
    arrived: float | None = None  # when it was captured past the last router
    lost_at: str = ""
    lost_on: str = ""
    translated: bool = False


@dataclass(frozen=True)
class VerdictGiven(Event):
    """The scenario's verdict; ``reason`` is the error if it didn't pass."""

    kind = "verdict"
    verdict: str
    reason: str = ""


KINDS: dict[str, type[Event]] = {
    each.kind: each
    for each in (
        ProgramStarted, Output, ProgramExited, WorkloadStarted, WorkloadEnded, FaultChanged, LinkChanged,
        LinkMeasured, LinkFailed, Note,
        VariantBegan, SocketChanged, CounterChanged, PacketPassed, VerdictGiven,
    )
}  # fmt: skip

Observe: TypeAlias = Callable[[Event], None]
