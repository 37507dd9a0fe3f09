"""A run's packets as a sequence diagram for the terminal: a lane for each node, an arrow for each packet.

       alice                  router                 bob
       │─ SYN → 8001 ────────▶│─────────────────────▶│
       │◀─────────────────────│◀─────────── SYN ACK ─│

ARP and neighbour discovery are omitted. Pure ACKs are omitted unless requested; the last line has their
number. Consecutive packets of the same kind become one arrow. The result is text; each span has the name of a
style, for which the terminal's view selects the colours.
"""

from __future__ import annotations

import ipaddress
import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

from rich.cells import cell_len, set_cell_size

from lab.evidence.packets.packet import Packet
from lab.evidence.packets.traffic import Traffic
from lab.evidence.packets.transit import PacketTransit
from lab.locale import Message, _, message, messages

MAX_ROWS = 24
LEG = 30  # cells from one lane to the next
MIN_LEG = 16
MARKS = {
    "retransmission": message("again"),
    "probe": message("probe"),
    "corrupted": message("corrupted"),
}
LOST = message("lost")
SLOW = 0.0015  # seconds in the router; a delay of at least this is shown
BREAK = 0.03  # seconds; packets that are further apart aren't merged into one arrow


class Span(NamedTuple):
    """Text with a style: "time", "lane", "lost", "mark", "dim", or the name of the sending node."""

    text: str
    style: str


@dataclass(frozen=True)
class Row:
    """One arrow: a packet, or several consecutive ones of the same kind."""

    transit: PacketTransit  # the first
    source: str  # lanes
    destination: str
    label: str
    count: int = 1
    bytes: int = 0
    until: float = 0.0  # when the last packet was sent

    @property
    def ordinary(self) -> bool:
        """Whether it was delivered and has no mark, so that it can be merged with its neighbours."""
        return self.transit.fate in ("crossed", "stayed") and not self.transit.mark


def arrows(traffic: Traffic, since: float = 0.0, until: float = math.inf, *, acks: bool = False) -> list[Row]:
    """The arrows of the packets sent between ``since`` and ``until`` (as of time.time()), in order of time.

    Pure ACKs are included if ``acks`` is true.
    """
    rows = _rows(traffic, lanes(traffic), acks)
    return list(_merged(row for row in rows if since <= row.transit.sent.at < until))


def hidden_acks(traffic: Traffic, since: float = 0.0, until: float = math.inf) -> int:
    """The number of pure ACKs that ``arrows`` omits."""
    return sum(_is_routine_ack(transit) and since <= transit.sent.at < until for transit in traffic.transits)


def sequence(
    traffic: Traffic,
    width: int = 100,
    rows: int = MAX_ROWS,
    since: float = 0.0,
    until: float = math.inf,
    *,
    acks: bool = False,
    language: str = "en",
) -> list[list[Span]]:
    """The lines to print, at most ``width`` cells wide; none if there were no packets in that time."""
    found = arrows(traffic, since, until, acks=acks)
    if not found:
        return []
    names = lanes(traffic)
    room = width - 10 - cell_len(names[-1])  # without the time and the last lane's name
    leg = max(MIN_LEG, min(LEG, room // max(1, len(names) - 1)))
    first = found[0].transit.sent.at
    lines = [_heading(names, leg)]
    shown, left_out = ends(found, rows)
    for row in shown:
        if row is None:
            lines.append([Span(f"{'…':>8}  {_summary(left_out, language)}", "dim")])
        else:
            lines.append(
                [Span(f"{row.transit.sent.at - first:8.3f} ", "time"), *_arrow(row, names, leg, language)]
            )
    lines += [[Span(f"{'':9}{caveat.in_language(language)}", "lost")] for caveat in _caveats(traffic)]
    hidden = 0 if acks else hidden_acks(traffic, since, until)
    if hidden:
        lines.append([Span(f"{'':9}{acks_note(hidden).in_language(language)}", "dim")])
    return lines


def acks_note(count: int) -> Message:
    """The line with the number of pure ACKs that a diagram doesn't show."""
    return messages(
        "{count} pure ACK is not shown; --acks shows it",
        "{count} pure ACKs are not shown; --acks shows them",
        count=count,
    )


def lanes(traffic: Traffic) -> list[str]:
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


def _rows(traffic: Traffic, lanes: list[str], acks: bool) -> Iterator[Row]:
    names = traffic.names
    for transit in traffic.transits:
        packet = transit.sent
        source = names.get(packet.source, "")
        destination = names.get(packet.destination, "")
        if source not in lanes or _is_chatter(packet) or (not acks and _is_routine_ack(transit)):
            continue
        if destination not in lanes:  # an unknown node: the arrow points away from the sender
            far = lanes[-1] if source != lanes[-1] else lanes[0]
            destination = next_to(source, far, lanes) if transit.fate == "stayed" else far
        yield Row(transit, source, destination, _label(packet), bytes=packet.length, until=packet.at)


def next_to(source: str, far: str, lanes: Sequence[str]) -> str:
    """The lane next to ``source`` in the direction of ``far``."""
    here, there = lanes.index(source), lanes.index(far)
    return lanes[here + (there > here) - (there < here)]


def _is_chatter(packet: Packet) -> bool:
    """Whether it belongs to ARP, neighbour discovery or the like."""
    if packet.protocol in ("tcp", "udp", "ip"):
        return False
    return not (packet.is_error or "echo" in packet.label)


def _is_routine_ack(transit: PacketTransit) -> bool:
    """Whether it is a pure ACK that was delivered normally; a lost or repeated one is always shown."""
    return transit.sent.is_pure_ack and transit.fate == "crossed" and not transit.mark


def _label(packet: Packet) -> str:
    preview = f" {packet.preview}" if packet.preview else ""
    if packet.protocol == "tcp":
        ports = f" → {packet.dport}" if packet.flags == "S" else ""
        words = packet.label.replace("PSH ACK ", "").replace("ACK ", "") if packet.length else packet.label
        return f"{words}{ports}{preview}"
    if packet.protocol == "udp":
        return f"{packet.label} → {packet.dport}{preview}"
    return packet.label


def _merged(rows: Iterable[Row]) -> Iterator[Row]:
    """Merges consecutive rows that are alike: data in one direction, or packets with the same label."""
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
    """At most ``most`` rows from both ends, with None for a gap between them; and the omitted rows."""
    if len(rows) <= most:
        return list(rows), []
    head, tail = most * 2 // 3, most - most * 2 // 3
    return [*rows[:head], None, *rows[-tail:]], rows[head:-tail]


def _summary(rows: list[Row], language: str) -> str:
    lost = sum(row.transit.fate == "lost" for row in rows)
    again = sum(row.transit.mark == "retransmission" for row in rows)
    parts = [messages("{count} packet", "{count} packets", count=sum(row.count for row in rows))]
    parts += [message("{count} lost", count=lost)] * bool(lost)
    parts += [message("{count} retransmitted", count=again)] * bool(again)
    text = _(", ", language).join(part.in_language(language) for part in parts)
    return message("{packets} (lab trace shows all of them)", packets=text).in_language(language)


def _heading(lanes: list[str], leg: int) -> list[Span]:
    return [
        Span(" " * 9, "time"),
        *(Span(set_cell_size(_cut(lane, leg + 1), leg + 1), lane) for lane in lanes),
    ]


def _arrow(row: Row, lanes: list[str], leg: int, language: str) -> list[Span]:
    """One line: the arrow runs from lane to lane; the arrow of a lost packet ends past the router."""
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
        number = lane - start if rightward else start - 1 - lane  # of this leg, counted from the sender
        spans.append(_leg(row, number, leg, rightward, language))
    return spans


def _leg(row: Row, number: int, width: int, rightward: bool, language: str) -> Span:
    transit = row.transit
    if transit.fate == "lost" and number > 0:
        word = f" ✗ {LOST.in_language(language)} " if number == 1 else ""
        space = " " * (width - cell_len(word))
        return Span(word + space if rightward else space + word, "lost")
    style = "mark" if transit.mark else row.source
    if transit.mark == "duplicate":  # sent once, but it left the router twice
        return Span(_dashes(_("copy", language), width, rightward) if number == 1 else " " * width, style)
    if number == 0:
        mark = f" {MARKS[transit.mark].in_language(language)}" if transit.mark in MARKS else ""
        return Span(_dashes(row.label, width, rightward, mark), style)
    slow = transit.delay is not None and transit.delay >= SLOW and number == 1
    return Span(_dashes(f"{(transit.delay or 0) * 1000:.0f} ms" if slow else "", width, rightward), style)


def _dashes(label: str, width: int, rightward: bool, mark: str = "") -> str:
    """An arrow of ``width`` cells with its label and its mark at the sender's end."""
    text = f" {_cut(label, width - 5 - cell_len(mark))}{mark} " if label else ""
    line = "─" * (width - 2 - cell_len(text))
    return f"─{text}{line}▶" if rightward else f"◀{line}{text}─"


def _caveats(traffic: Traffic) -> Iterator[Message]:
    """Notes on packets that are missing from the captures, so that their absence isn't taken for a result."""
    for capture in traffic.captures.values():
        if capture.cut:
            yield messages(
                "{name}: {count} packet was captured but not kept",
                "{name}: {count} packets were captured but not kept",
                name=capture.name,
                count=capture.cut,
            )
        if capture.dropped:
            yield messages(
                "{name}: {count} packet was dropped by the kernel",
                "{name}: {count} packets were dropped by the kernel",
                name=capture.name,
                count=capture.dropped,
            )
        if capture.ended:
            yield message(
                "{name}: the capture ended early: {reason}", name=capture.name, reason=capture.ended
            )


def _cut(text: str, width: int) -> str:
    """``text``, truncated with an ellipsis if it is wider than ``width`` cells."""
    return text if cell_len(text) <= width else set_cell_size(text, width - 1).rstrip() + "…"
