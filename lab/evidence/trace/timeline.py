"""What happened on the hosts, for the page: lines, the lives of sockets, faults."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

from lab.evidence.events import Event
from lab.evidence.socket_history import socket_histories
from lab.link.settings import LinkSettings

MAX_LINES = 400  # of one program's output: the first three quarters, and the last
MAX_TEXT = 2000  # characters of one line
MAX_STATES = 5000  # of sockets

# How a fault of a host ends, by how it begins.
ENDINGS = {
    "power cut": "power on",
    "paused": "resumed",
    "cable pulled": "cable plugged in",
    "disk full": "disk has room again",
}

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
        if event.kind in ("packet", "socket") or number in left_out:
            continue
        row: Row = {
            "at": clock.micros(event.at),
            "node": index.get(event.node, -1),
            "kind": event.kind,
            "text": _shortened(event.text),
            "program": event.program,
        }
        if event.data and event.kind in ("fault", "link", "counter"):
            row["data"] = event.data
        if _edges(event)[0]:
            row["band"] = True  # it is drawn as what it began
        rows.append(row)
    return rows, len(left_out)


def _shortened(text: str) -> str:
    return text if len(text) <= MAX_TEXT else f"{text[:MAX_TEXT]}… ({len(text):,} characters)"


def _left_out(events: Sequence[Event]) -> set[int]:
    """The middle of what a program said at great length, as places in ``events``."""
    said: dict[int, list[int]] = {}
    for number, event in enumerate(events):
        if event.kind in ("stdout", "stderr"):
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
        if life.names == ["TIME_WAIT"] and frozenset((life.local, life.remote)) not in ends:
            continue
        about: Row = {
            "life": number,
            "node": index[life.node],
            "protocol": life.protocol,
            "local": life.local,
            "remote": life.remote,
            "owner": f"{life.command} ({life.pid})" if life.command else "",
            "waiting": life.most_received,
            "connection": ends.get(frozenset((life.local, life.remote))),
            "gone": end if life.ended is None else clock.micros(life.ended),
        }
        for state in life.states:
            until = end if state.until is None else clock.micros(state.until)
            times = {"from": clock.micros(state.at), "to": max(until, clock.micros(state.at))}
            rows.append(about | times | {"state": state.name})
    return sorted(rows, key=lambda row: int(row["from"]))[:MAX_STATES]


def bands(events: Sequence[Event], clock: Clock, nodes: Sequence[str], end: int) -> list[Row]:
    """What lasted: from a fault to its end, from a setting of the link to the next one."""
    index = {title: number for number, title in enumerate(nodes)}
    rows: list[Row] = []
    current: dict[tuple[str, str], Row] = {}
    for event in events:
        begins, ends = _edges(event)
        if ends and (band := current.pop((event.node, ends), None)):
            band["to"] = clock.micros(event.at)
        if begins:
            at = clock.micros(event.at)
            band = {"from": at, "to": max(end, at), "node": index.get(event.node, -1), "text": event.text}
            current[event.node, begins] = band | {"kind": _severity(event)}
            rows.append(current[event.node, begins])
    return rows


def _edges(event: Event) -> tuple[str, str]:
    """What begins with an event, and what ends with it."""
    if event.kind == "link" and "asked" in (event.data or {}):
        return ("" if _asked(event).is_nothing else "link"), "link"
    if event.kind == "fault":
        begun = {ending: beginning for beginning, ending in ENDINGS.items()}
        return (event.text if event.text in ENDINGS else ""), begun.get(event.text, "")
    return "", ""


def _severity(event: Event) -> str:
    """A link that is cut is a fault, too."""
    return "fault" if event.kind == "fault" or _asked(event).cut else "link"


def _asked(event: Event) -> LinkSettings:
    return LinkSettings.from_json((event.data or {})["asked"])
