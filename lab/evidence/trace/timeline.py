"""The timeline of the page: output and other events, socket states, faults."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

from lab.evidence.event_json import to_json
from lab.evidence.event_text import describe
from lab.evidence.events import (
    CounterChanged,
    Event,
    FaultChanged,
    LinkChanged,
    LinkFailed,
    LinkMeasured,
    Output,
    PacketPassed,
    ProgramEvent,
    ProgramExited,
    ProgramStarted,
    SocketChanged,
    WorkloadEnded,
    WorkloadStarted,
)
from lab.evidence.socket_history import SocketHistory, socket_histories
from lab.locale import Message

MAX_LINES = 400  # of one program's output: three quarters from its beginning, one from its end
MAX_TEXT = 2000  # characters of one line
MAX_STATES = 5000  # of sockets

LINK = (LinkChanged, LinkMeasured, LinkFailed)
DETAILED = (FaultChanged, CounterChanged, WorkloadStarted, WorkloadEnded, *LINK)

Row: TypeAlias = dict[str, Any]


@dataclass(frozen=True)
class Clock:
    """Times on the page: microseconds since the start of the run."""

    started: float

    def micros(self, at: float) -> int:
        return round((at - self.started) * 1e6)


def lines(events: Sequence[Event], clock: Clock, nodes: Sequence[str]) -> tuple[list[Row], int]:
    """The events that are shown as one line each, and the number of omitted lines of output."""
    index = {title: number for number, title in enumerate(nodes)}
    left_out = _left_out(events)
    rows = []
    for number, event in enumerate(events):
        if isinstance(event, PacketPassed | SocketChanged) or number in left_out:
            continue
        row: Row = {
            "at": clock.micros(event.at),
            "node": index.get(event.node, -1),
            "kind": _kind(event),
            **_text(event),
            "program": event.program if isinstance(event, ProgramEvent) else 0,
        }
        if data := _data(event):
            row["data"] = data
        if _edges(event)[0]:
            row["band"] = True  # drawn as a band, not as a line
        rows.append(row)
    return rows, len(left_out)


def _kind(event: Event) -> str:
    """The kind on the page: the stream for a line of output, and one kind for all events of the link.

    A container is shown as a program.
    """
    if isinstance(event, Output):
        return event.stream
    if isinstance(event, WorkloadStarted | WorkloadEnded):
        return ProgramStarted.kind if isinstance(event, WorkloadStarted) else ProgramExited.kind
    return "link" if isinstance(event, LINK) else event.kind


def _data(event: Event) -> Row:
    """The fields that the details of an event show besides its text."""
    if not isinstance(event, DETAILED):
        return {}
    return {name: value for name, value in to_json(event).items() if name not in ("at", "node", "kind")}


def _text(event: Event) -> Row:
    """The event's text. The page translates texts of the lab; others, such as output, are data."""
    text = describe(event)
    return {"text": text, "translated": True} if isinstance(text, Message) else {"text": _shortened(text)}


def _shortened(line: str) -> str:
    return line if len(line) <= MAX_TEXT else f"{line[:MAX_TEXT]}… ({len(line):,} characters)"


def _left_out(events: Sequence[Event]) -> set[int]:
    """The indices of the omitted lines: the middle of a long output."""
    printed: dict[int, list[int]] = {}
    for number, event in enumerate(events):
        if isinstance(event, Output):
            printed.setdefault(event.program, []).append(number)
    first, last = MAX_LINES * 3 // 4, MAX_LINES // 4
    return {n for numbers in printed.values() if len(numbers) > MAX_LINES for n in numbers[first:-last]}


def sockets(
    events: Sequence[Event], clock: Clock, nodes: Sequence[str], ends: Mapping[frozenset[str], int], end: int
) -> list[Row]:
    """One row for each state of each socket, with its beginning and end as sampled.

    ``ends`` maps both ends of each captured connection to its number. A socket that was only in TIME_WAIT and
    has no such connection is older than the run and is omitted.
    """
    index = {title: number for number, title in enumerate(nodes)}
    rows = []
    for number, history in enumerate(socket_histories(events)):
        if history.names == ["TIME_WAIT"] and _ends(history) not in ends:
            continue
        about: Row = {
            "life": number,
            "node": index[history.node],
            "protocol": history.protocol,
            "local": str(history.local),
            "remote": str(history.remote),
            "owner": f"{history.command} ({history.pid})" if history.command else "",
            "waiting": history.most_received,
            "connection": ends.get(_ends(history)),
            "gone": end if history.ended is None else clock.micros(history.ended),
        }
        for state in history.states:
            until = end if state.until is None else clock.micros(state.until)
            times = {"from": clock.micros(state.at), "to": max(until, clock.micros(state.at))}
            rows.append(about | times | {"state": state.name})
    return sorted(rows, key=lambda row: int(row["from"]))[:MAX_STATES]


def _ends(history: SocketHistory) -> frozenset[str]:
    return frozenset((str(history.local), str(history.remote)))


def bands(events: Sequence[Event], clock: Clock, nodes: Sequence[str], end: int) -> list[Row]:
    """Faults and link settings. Each lasts until it ends, the next setting begins, or ``end``."""
    index = {title: number for number, title in enumerate(nodes)}
    rows: list[Row] = []
    current: dict[tuple[str, str], Row] = {}
    for event in events:
        begins, ends = _edges(event)
        if ends and (band := current.pop((event.node, ends), None)):
            band["to"] = clock.micros(event.at)
        if begins:
            at = clock.micros(event.at)
            band = {"from": at, "to": max(end, at), "node": index.get(event.node, -1), **_text(event)}
            current[event.node, begins] = band | {"kind": _severity(event)}
            rows.append(current[event.node, begins])
    return rows


def _edges(event: Event) -> tuple[str, str]:
    """The names of the bands that begin and end with an event; "" for none."""
    if isinstance(event, LinkChanged):
        link = f"link {event.link}"
        return ("" if event.asked.is_nothing else link), link
    if isinstance(event, FaultChanged):
        return (event.fault, "") if event.edge == "begin" else ("", event.fault)
    return "", ""


def _severity(event: Event) -> str:
    """The style of a band: a link that is cut is drawn as a fault."""
    return "link" if isinstance(event, LinkChanged) and not event.asked.cut else "fault"
