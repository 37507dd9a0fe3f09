"""The data of the page: a run's record, events and packets, read from its folder."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lab.evidence.event_json import from_json
from lab.evidence.events import Event, PacketPassed
from lab.evidence.packets.traffic import Traffic, load
from lab.evidence.trace import packet_columns, timeline
from lab.evidence.trace.node_columns import columns
from lab.evidence.trace.packet_columns import FIELDS, TABLES
from lab.evidence.trace.timeline import Clock, Row
from lab.locale import Message, message

PACKET = f'"kind": "{PacketPassed.kind}"'  # in JSON text a quote within a string is escaped
NO_PACKETS: dict[str, Any] = {
    "packets": {name: [] for name in (*FIELDS, "kept")},
    "bytes": "",
    **{name: [] for name in TABLES},
    "ends": {},
    "left_out": 0,
}


@dataclass(frozen=True)
class Page:
    """``record`` is for the heading, ``run`` and ``bytes`` for the diagram; ``notes`` list missing data."""

    record: dict[str, Any]
    run: dict[str, Any]
    bytes: str
    notes: list[Message]


def collect(folder: Path, traffic: Traffic | None = None) -> Page:
    """The data of the run in ``folder``. Data that can't be read is named in a note.

    Raises OSError or ValueError if there is no record.
    """
    record = json.loads((folder / "record.json").read_text(encoding="utf-8"))
    if not isinstance(record, dict):
        raise ValueError("record.json holds no object")
    notes: list[Message] = []
    events = _events(folder, notes)
    if traffic is None or not traffic.captures:
        traffic = _traffic(folder, record, notes)
    clock = Clock(_start(record, events))
    nodes = columns(record, events, traffic)
    titles = [node["title"] for node in nodes]
    packed = NO_PACKETS
    if traffic is not None:
        packed = packet_columns.pack(traffic, folder, clock, titles)
    rows, left_out = timeline.lines(events, clock, titles)
    end = _end(record, rows, packed)
    run = {
        **{key: packed[key] for key in ("packets", *TABLES)},
        "nodes": nodes,
        "verdict": record.get("verdict", ""),
        "events": rows,
        "sockets": timeline.sockets(events, clock, titles, packed["ends"], end),
        "bands": timeline.bands(events, clock, titles, end),
        "duration": end,
    }
    _note_cuts(notes, packed, left_out, traffic)
    _note_clocks(notes, record)
    return Page(record, run, packed["bytes"], notes)


def _events(folder: Path, notes: list[Message]) -> list[Event]:
    """The events, without those of packets, of which the captures have more. Invalid lines are skipped, such
    as the last one of a run that was killed.
    """
    events, bad = [], 0
    try:
        text = (folder / "events.jsonl").read_text(encoding="utf-8", errors="backslashreplace")
    except OSError as error:
        notes.append(message("there is no events.jsonl: {reason}", reason=error.strerror))
        return []
    for line in text.split("\n"):
        try:
            if line and PACKET not in line:
                events.append(from_json(json.loads(line)))
        except ValueError:
            bad += 1
    if bad:
        notes.append(message("lines of events.jsonl can't be read: {count}", count=bad))
    return sorted(events, key=lambda event: event.at)


def _traffic(folder: Path, record: Mapping[str, Any], notes: list[Message]) -> Traffic | None:
    if not record.get("captures"):
        notes.append(message("nothing was captured in this run: there are no packets to show"))
        return None
    try:
        return load(folder)
    except (OSError, ValueError, KeyError, TypeError) as error:
        notes.append(
            message("the captures can't be read ({error}): there are no packets to show", error=error)
        )
        return None


def _start(record: Mapping[str, Any], events: Sequence[Event]) -> float:
    return float(record.get("started") or (events[0].at if events else 0.0))


def _end(record: Mapping[str, Any], rows: Sequence[Row], packed: Mapping[str, Any]) -> int:
    """The time of the last event or packet, in microseconds."""
    times = [at for seen in packed["packets"]["seen"] for at in seen]
    lasted = round(float(record.get("seconds") or 0) * 1e6)
    return int(max([lasted, *(row["at"] for row in rows), *times]))


# --- notes -----------------------------------------------------------------------------------------


def _note_cuts(
    notes: list[Message], packed: Mapping[str, Any], left_out: int, traffic: Traffic | None
) -> None:
    if packed["left_out"]:
        missing = packed["left_out"]
        notes.append(
            message("{count:,} packets in the middle of the run are only in the captures", count=missing)
        )
    sizes = zip(packed["packets"]["kept"], packed["packets"]["wire"], strict=True)
    cut = sum(kept[0] < wire for kept, wire in sizes)
    if cut:
        notes.append(message("of {count:,} packets this page has only the first bytes", count=cut))
    if left_out:
        notes.append(message("{count:,} lines of output are only in the folder output/", count=left_out))
    for capture in traffic.captures.values() if traffic else ():
        notes += capture.doubts()


def _note_clocks(notes: list[Message], record: Mapping[str, Any]) -> None:
    """Notes the uncertainty of each host's times, which is that of its clock's offset."""
    for name, clock in (record.get("clocks") or {}).items():
        uncertainty = float(clock.get("uncertainty") or 0)
        if uncertainty > 0.0005:
            margin = f"{uncertainty * 1000:.1f}"
            notes.append(message("times of {name} are known to {margin} ms only", name=name, margin=margin))
        if clock.get("ended"):
            reason = clock["ended"]
            notes.append(
                message(
                    "the sockets of {name} were not watched to the end: {reason}", name=name, reason=reason
                )
            )
