"""Events: what happened in a run, each with the time by the controller's clock. One class for each kind.

Rules and checks read the fields. The text that a person reads is made in one place: event_text.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import MISSING, asdict, dataclass, fields
from functools import partial
from types import UnionType
from typing import Any, ClassVar, Literal, TypeAlias, get_args, get_origin, get_type_hints

from lab.evidence.endpoint import Endpoint
from lab.link.errors import ImpairmentError
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

    def to_json(self) -> dict[str, Any]:
        """The event as in events.jsonl. A field that has its default value is left out."""
        values = {f.name: getattr(self, f.name) for f in fields(self) if getattr(self, f.name) != f.default}
        shown = {name: _to_json(value) for name, value in values.items()}
        return {"at": shown.pop("at"), "node": shown.pop("node"), "kind": self.kind} | shown


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
class FaultChanged(Event):
    """A fault of a node began or ended. ``fault`` names it: "power cut"."""

    kind = "fault"
    fault: str
    edge: Edge


@dataclass(frozen=True)
class LinkChanged(Event):
    """The link's settings were changed. ``backend`` is "" if nothing impairs the link."""

    kind = "link"
    asked: LinkSettings
    backend: str = ""


@dataclass(frozen=True)
class LinkMeasured(Event):
    """The link was measured."""

    kind = "measurement"
    measured: Measured


@dataclass(frozen=True)
class LinkFailed(Event):
    """The link doesn't do what was asked."""

    kind = "link-failure"
    reason: str


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
    receive_queue: int  # bytes; of a LISTEN socket the connections that wait to be accepted
    send_queue: int  # bytes; of a LISTEN socket the backlog
    pid: int = 0  # the process that holds a LISTEN or UDP socket; 0: not known
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
    arrived: float | None = None  # when it was seen past the router


@dataclass(frozen=True)
class VerdictGiven(Event):
    """The scenario's verdict; ``reason`` says why it didn't pass."""

    kind = "verdict"
    verdict: str
    reason: str = ""


KINDS: dict[str, type[Event]] = {
    each.kind: each
    for each in (
        ProgramStarted, Output, ProgramExited, FaultChanged, LinkChanged, LinkMeasured, LinkFailed, Note,
        VariantBegan, SocketChanged, CounterChanged, PacketPassed, VerdictGiven,
    )
}  # fmt: skip

Observe: TypeAlias = Callable[[Event], None]


def from_json(value: object) -> Event:
    """The event that ``to_json`` wrote. Raises ValueError, whose text is one line, for anything else."""
    if not isinstance(value, dict):
        raise ValueError("an event is a JSON object")
    kind = value.get("kind")
    if not isinstance(kind, str) or kind not in KINDS:
        raise ValueError(f"no kind of event: {kind!r}")
    return build(KINDS[kind], {name: entry for name, entry in value.items() if name != "kind"})


def build(event: type[Event], values: Mapping[str, object]) -> Event:
    """An event of one kind from its fields in JSON. Raises ValueError."""
    readers = _READERS[event.kind]
    if missing := _REQUIRED[event.kind] - values.keys():
        raise ValueError(f"{event.kind} event: {min(missing)} is missing")
    if unknown := values.keys() - readers.keys():
        raise ValueError(f"{event.kind} event: no field {min(unknown)!r}")
    try:
        return event(**{name: readers[name](entry) for name, entry in values.items()})
    except (ValueError, ImpairmentError) as error:
        raise ValueError(f"{event.kind} event: {error}") from None


def _to_json(value: Any) -> Any:
    if isinstance(value, Endpoint):
        return str(value)
    if isinstance(value, LinkSettings):
        return value.as_json()
    if isinstance(value, dict):
        return {name: _to_json(entry) for name, entry in value.items()}
    if isinstance(value, list):
        return [_to_json(entry) for entry in value]
    return asdict(value) if isinstance(value, Check) else value


def _reader(hint: Any) -> Callable[[object], Any]:
    """The function that checks a JSON value for a field of the type ``hint``. It raises ValueError."""
    if hint is Endpoint:
        return lambda value: Endpoint.parse(_checked(value, str))
    if hint is LinkSettings:
        return LinkSettings.from_json
    if hint == Measured:
        return _measured
    if get_origin(hint) is Literal:
        return partial(_choice, choices=get_args(hint))
    if isinstance(hint, UnionType):  # with None
        reader = _reader(get_args(hint)[0])
        return lambda value: None if value is None else reader(value)
    return partial(_checked, wanted=get_origin(hint) or hint)


def _measured(value: object) -> Measured:
    try:
        return {way: [Check(**check) for check in checks] for way, checks in _checked(value, dict).items()}
    except TypeError:
        raise ValueError("no measurement") from None


def _choice(value: object, choices: tuple[str, ...]) -> object:
    if value not in choices:
        raise ValueError(f"{value!r} is none of {', '.join(choices)}")
    return value


def _checked(value: object, wanted: type) -> Any:
    """``value`` if its JSON type is ``wanted``: an int may stand for a float, a bool for neither."""
    right = isinstance(value, (int, float) if wanted is float else wanted) and not isinstance(value, bool)
    if not right or (isinstance(value, float) and not math.isfinite(value)):
        raise ValueError(f"{value!r} is no {wanted.__name__}")
    return value


_READERS = {
    kind: {name: _reader(hint) for name, hint in get_type_hints(event).items() if name != "kind"}
    for kind, event in KINDS.items()
}
_REQUIRED = {kind: {f.name for f in fields(event) if f.default is MISSING} for kind, event in KINDS.items()}
