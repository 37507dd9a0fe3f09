"""What happened on the hosts, for the page: lines, the lives of sockets, faults."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

from lab.evidence.event_text import render
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
    SocketChanged,
)
from lab.evidence.socket_history import SocketHistory, socket_histories

MAX_LINES = 400  # of one program's output: the first three quarters, and the last
MAX_TEXT = 2000  # characters of one line
MAX_STATES = 5000  # of sockets

LINK = (LinkChanged, LinkMeasured, LinkFailed)
DETAILED = (FaultChanged, CounterChanged, *LINK)

Row: TypeAlias = dict[str, Any]


@dataclass(frozen=True)
class Clock:
    """The page counts microseconds from the run's start."""

    started: float

    def micros(self, at: float) -> int:
        return round((at - self.started) * 1e6)


def lines(events: Sequence[Event], clock: Clock, nodes: Sequence[str]) -> tuple[list[Row], int]:
    """What is shown as one line each, and how many lines of output were left out."""
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
            "text": _shortened(render(event)),
            "program": event.program if isinstance(event, ProgramEvent) else 0,
        }
        if data := _data(event):
            row["data"] = data
        if _edges(event)[0]:
            row["band"] = True  # it is drawn as what it began
        rows.append(row)
    return rows, len(left_out)


def _kind(event: Event) -> str:
    """The page's kinds: a line of output by its stream, one kind for all events of the link."""
    if isinstance(event, Output):
        return event.stream
    return "link" if isinstance(event, LINK) else event.kind


def _data(event: Event) -> Row:
    """The fields that the details of an event show besides its text."""
    if not isinstance(event, DETAILED):
        return {}
    return {name: value for name, value in event.to_json().items() if name not in ("at", "node", "kind")}


def _shortened(line: str) -> str:
    return line if len(line) <= MAX_TEXT else f"{line[:MAX_TEXT]}… ({len(line):,} characters)"


def _left_out(events: Sequence[Event]) -> set[int]:
    """The middle of what a program said at great length, as places in ``events``."""
    said: dict[int, list[int]] = {}
    for number, event in enumerate(events):
        if isinstance(event, Output):
            said.setdefault(event.program, []).append(number)
    first, last = MAX_LINES * 3 // 4, MAX_LINES // 4
    return {n for numbers in said.values() if len(numbers) > MAX_LINES for n in numbers[first:-last]}


def sockets(
    events: Sequence[Event], clock: Clock, nodes: Sequence[str], ends: Mapping[frozenset[str], int], end: int
) -> list[Row]:
    """One row for each state of each socket: from when to when it was in it, as sampled.

    ``ends`` has the connections whose packets were seen, by both ends. What only lingers in TIME_WAIT and has
    none is from before the run.
    """
    index = {title: number for number, title in enumerate(nodes)}
    rows = []
    for number, life in enumerate(socket_histories(events)):
        if life.names == ["TIME_WAIT"] and _ends(life) not in ends:
            continue
        about: Row = {
            "life": number,
            "node": index[life.node],
            "protocol": life.protocol,
            "local": str(life.local),
            "remote": str(life.remote),
            "owner": f"{life.command} ({life.pid})" if life.command else "",
            "waiting": life.most_received,
            "connection": ends.get(_ends(life)),
            "gone": end if life.ended is None else clock.micros(life.ended),
        }
        for state in life.states:
            until = end if state.until is None else clock.micros(state.until)
            times = {"from": clock.micros(state.at), "to": max(until, clock.micros(state.at))}
            rows.append(about | times | {"state": state.name})
    return sorted(rows, key=lambda row: int(row["from"]))[:MAX_STATES]


def _ends(history: SocketHistory) -> frozenset[str]:
    return frozenset((str(history.local), str(history.remote)))


def bands(events: Sequence[Event], clock: Clock, nodes: Sequence[str], end: int) -> list[Row]:
    """Faults and settings of the link: each lasts until its end, or the next setting, or ``end``."""
    index = {title: number for number, title in enumerate(nodes)}
    rows: list[Row] = []
    current: dict[tuple[str, str], Row] = {}
    for event in events:
        begins, ends = _edges(event)
        if ends and (band := current.pop((event.node, ends), None)):
            band["to"] = clock.micros(event.at)
        if begins:
            at = clock.micros(event.at)
            band = {"from": at, "to": max(end, at), "node": index.get(event.node, -1), "text": render(event)}
            current[event.node, begins] = band | {"kind": _severity(event)}
            rows.append(current[event.node, begins])
    return rows


def _edges(event: Event) -> tuple[str, str]:
    """The bands that begin and end with an event, by name; "" for none."""
    if isinstance(event, LinkChanged):
        return ("" if event.asked.is_nothing else "link"), "link"
    if isinstance(event, FaultChanged):
        return (event.fault, "") if event.edge == "begin" else ("", event.fault)
    return "", ""


def _severity(event: Event) -> str:
    """How a band is drawn: a link that is cut counts as a fault."""
    return "link" if isinstance(event, LinkChanged) and not event.asked.cut else "fault"
