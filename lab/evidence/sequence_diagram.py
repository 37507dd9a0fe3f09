"""A run's packets as a short sequence for the terminal: a lane for each node, an arrow for each packet.

       kali                   router                 win10
       │─ SYN → 8001 ────────▶│─────────────────────▶│
       │◀─────────────────────│◀─────────── SYN ACK ─│

Acknowledgements without data and the chatter of ARP and neighbour discovery are left out; many packets of one
kind in a row become one arrow. Text only: the spans say what they are, and the view gives them colours.
"""

from __future__ import annotations

import ipaddress
import math
import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

from lab.evidence.packets.packet import Packet
from lab.evidence.packets.traffic import Traffic
from lab.evidence.packets.transit import PacketTransit

MAX_ROWS = 24
LEG = 30  # cells from one lane to the next
MIN_LEG = 16
PREVIEW = 12  # characters of a payload that are shown
MARKS = {"retransmission": " again", "probe": " probe", "corrupted": " corrupted"}
SLOW = 0.0015  # seconds through the router that are worth a word
BREAK = 0.03  # seconds: what was sent after so long is an arrow of its own


class Span(NamedTuple):
    """Some text and what it is: "time", "lane", "lost", "mark", "dim", or the name of the node that sends."""

    text: str
    style: str


@dataclass(frozen=True)
class Row:
    """One arrow: a packet, or several of the same kind in a row."""

    transit: PacketTransit
    source: str  # lanes
    destination: str
    label: str
    count: int = 1
    bytes: int = 0
    until: float = 0.0  # when the last of them was sent

    @property
    def ordinary(self) -> bool:
        """Whether it went its way: it may be put together with its like."""
        return self.transit.fate in ("crossed", "stayed") and not self.transit.mark


def arrows(traffic: Traffic, since: float = 0.0, until: float = math.inf) -> list[Row]:
    """What was sent within that time (as time.time() gives it), an arrow each, in the order of time."""
    rows = _rows(traffic, _lanes(traffic))
    return list(_merged(row for row in rows if since <= row.transit.sent.at < until))


def sequence(
    traffic: Traffic,
    width: int = 100,
    rows: int = MAX_ROWS,
    since: float = 0.0,
    until: float = math.inf,
) -> list[list[Span]]:
    """The lines to print, ``width`` cells at the most; none where nothing passed within that time."""
    found = arrows(traffic, since, until)
    if not found:
        return []
    lanes = _lanes(traffic)
    room = width - 10 - _cells(lanes[-1])  # beside the time, and the last lane's name
    leg = max(MIN_LEG, min(LEG, room // max(1, len(lanes) - 1)))
    first = found[0].transit.sent.at
    lines = [_heading(lanes, leg)]
    shown, left_out = ends(found, rows)
    for row in shown:
        if row is None:
            lines.append([Span(f"{'…':>8}  {_summary(left_out)}", "dim")])
        else:
            lines.append([Span(f"{row.transit.sent.at - first:8.3f} ", "time"), *_arrow(row, lanes, leg)])
    return lines + _caveats(traffic)


def _lanes(traffic: Traffic) -> list[str]:
    """The nodes from left to right: the first segment's hosts, the router, the other segments' hosts."""
    sides: list[list[str]] = []
    router = ""
    for capture in traffic.captures.values():
        router = next((traffic.names[a] for a in capture.router if a in traffic.names), router)
    for capture in traffic.captures.values():
        named = {name for address, name in traffic.names.items() if _is_on(address, capture.networks)}
        sides.append(sorted(named - {router}))
    return [*(sides[0] if sides else []), *([router] if router else []), *(n for s in sides[1:] for n in s)]


def _is_on(address: str, networks: Sequence[str]) -> bool:
    return any(ipaddress.ip_address(address) in ipaddress.ip_network(network) for network in networks)


def _rows(traffic: Traffic, lanes: list[str]) -> Iterable[Row]:
    names = traffic.names
    for transit in traffic.transits:
        packet = transit.sent
        source = names.get(packet.source, "")
        destination = names.get(packet.destination, "")
        if source not in lanes or _is_chatter(transit):
            continue
        if destination not in lanes:  # nobody known: away from the sender, on its segment or past it
            far = lanes[-1] if source != lanes[-1] else lanes[0]
            destination = _next_to(source, far, lanes) if transit.fate == "stayed" else far
        yield Row(transit, source, destination, _label(packet), bytes=packet.length, until=packet.at)


def _next_to(source: str, far: str, lanes: list[str]) -> str:
    """The lane beside ``source`` on the way to ``far``."""
    here, there = lanes.index(source), lanes.index(far)
    return lanes[here + (there > here) - (there < here)]


def _is_chatter(transit: PacketTransit) -> bool:
    packet = transit.sent
    if packet.protocol == "tcp":
        return packet.flags == "A" and not packet.length and transit.fate == "crossed" and not transit.mark
    if packet.protocol in ("udp", "ip"):
        return False
    return not (packet.is_error or "echo" in packet.label)


def _label(packet: Packet) -> str:
    text = "".join(c for c in packet.payload[: 8 * PREVIEW].decode(errors="ignore") if c.isprintable())
    preview = f" “{text[:PREVIEW]}”" if text.strip() and packet.length else ""
    if packet.protocol == "tcp":
        ports = f" → {packet.dport}" if packet.flags == "S" else ""
        words = packet.label.replace("PSH ACK ", "").replace("ACK ", "") if packet.length else packet.label
        return f"{words}{ports}{preview}"
    if packet.protocol == "udp":
        return f"{packet.label} → {packet.dport}{preview}"
    return packet.label


def _merged(rows: Iterable[Row]) -> Iterable[Row]:
    """Puts data, and what is all the same, together where it goes one way without a break."""
    held: Row | None = None
    for row in rows:
        if held is not None and _alike(held, row):
            count, size = held.count + 1, held.bytes + row.bytes
            label = (
                f"{size:,} bytes in {count} packets".replace(",", " ") if size else f"{count} × {row.label}"
            )
            held = replace(held, label=label, count=count, bytes=size, until=row.until)
            continue
        if held is not None:
            yield held
        held = row
    if held is not None:
        yield held


def _alike(held: Row, row: Row) -> bool:
    first, packet = held.transit.sent, row.transit.sent
    both_data = first.length > 0 and packet.length > 0
    return (
        held.ordinary
        and row.ordinary
        and first.flow == packet.flow
        and (both_data or first.label == packet.label)
        and packet.at - held.until < BREAK
    )


def ends(rows: list[Row], most: int) -> tuple[list[Row | None], list[Row]]:
    """The first and the last rows with a gap (None) between them, and what the gap leaves out."""
    if len(rows) <= most:
        return list(rows), []
    head, tail = most * 2 // 3, most - most * 2 // 3
    return [*rows[:head], None, *rows[-tail:]], rows[head:-tail]


def _summary(rows: list[Row]) -> str:
    lost = sum(row.transit.fate == "lost" for row in rows)
    again = sum(row.transit.mark == "retransmission" for row in rows)
    packets = sum(row.count for row in rows)
    words = [f"{packets} packet{'s' * (packets > 1)}"]
    words += [f"{lost} lost"] * bool(lost) + [f"{again} sent again"] * bool(again)
    return f"{', '.join(words)} (all of them: lab trace)"


def _heading(lanes: list[str], leg: int) -> list[Span]:
    spans = [Span(" " * 9, "time")]
    for lane in lanes:
        spans.append(Span(_fit(lane, leg + 1), lane))
    return spans


def _arrow(row: Row, lanes: list[str], leg: int) -> list[Span]:
    """One line: the arrow runs from lane to lane, and a lost one ends past the router."""
    start, end = lanes.index(row.source), lanes.index(row.destination)
    rightward = end > start
    low, high = min(start, end), max(start, end)
    spans: list[Span] = []
    for lane in range(len(lanes)):
        spans.append(Span("│", "lane"))
        if lane == len(lanes) - 1:
            break
        if not low <= lane < high:
            spans.append(Span(" " * leg, "lane"))
            continue
        number = lane - start if rightward else start - 1 - lane  # of this leg, from the sender
        spans.append(_leg(row, number, leg, rightward))
    return spans


def _leg(row: Row, number: int, width: int, rightward: bool) -> Span:
    transit = row.transit
    if transit.fate == "lost" and number > 0:
        word = "✗ lost" if number == 1 else ""
        return Span(f" {word}".ljust(width) if rightward else f"{word} ".rjust(width), "lost")
    style = "mark" if transit.mark else row.source
    if transit.mark == "duplicate":  # it was sent once, and came out again
        return Span(_dashes("copy", width, rightward) if number == 1 else " " * width, style)
    if number == 0:
        return Span(_dashes(row.label, width, rightward, MARKS.get(transit.mark, "")), style)
    slow = transit.delay is not None and transit.delay >= SLOW and number == 1
    return Span(_dashes(f"{(transit.delay or 0) * 1000:.0f} ms" if slow else "", width, rightward), style)


def _dashes(label: str, width: int, rightward: bool, mark: str = "") -> str:
    """An arrow of ``width`` cells with its label, and its mark, at the sender's end."""
    text = f" {_cut(label, width - 5 - len(mark))}{mark} " if label else ""
    line = "─" * (width - 2 - _cells(text))
    return f"─{text}{line}▶" if rightward else f"◀{line}{text}─"


def _caveats(traffic: Traffic) -> list[list[Span]]:
    """What the captures don't hold, so that nobody takes silence for a fact."""
    lines = []
    for capture in traffic.captures.values():
        for count, what in (
            (capture.cut, "were left out of the capture"),
            (capture.dropped, "were dropped by it"),
        ):
            if count:
                lines.append([Span(f"{'':9}{capture.name}: {count} packets {what}", "lost")])
        if capture.ended:
            lines.append([Span(f"{'':9}{capture.name}: the capture ended early: {capture.ended}", "lost")])
    return lines


def _cells(text: str) -> int:
    """The width of a text in a terminal: CJK characters take two cells, combining ones none."""
    return sum(
        0 if unicodedata.combining(c) else 2 if unicodedata.east_asian_width(c) in "WF" else 1 for c in text
    )


def _cut(text: str, width: int) -> str:
    if _cells(text) <= width:
        return text
    while _cells(text) > width - 1:
        text = text[:-1]
    return text + "…"


def _fit(text: str, width: int) -> str:
    text = _cut(text, width)
    return text + " " * (width - _cells(text))
