"""The rows of a sequence diagram: an arrow for each packet, or for several consecutive ones of the same kind.

ARP and neighbour discovery are omitted, and pure ACKs unless they are requested.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, replace

from lab.evidence.diagram.lanes import is_between, is_chatter
from lab.evidence.diagram.packet_path import Path, Paths
from lab.evidence.packets.packet import Packet
from lab.evidence.packets.traffic import Traffic
from lab.evidence.packets.transit import PacketTransit

BREAK = 0.03  # seconds; packets that are further apart aren't merged into one arrow


@dataclass(frozen=True)
class Row:
    """One arrow: a packet, or several consecutive ones of the same kind."""

    transit: PacketTransit  # the first
    path: Path
    label: str
    translation: str = ""  # the new address, where a router translated it
    count: int = 1
    bytes: int = 0
    until: float = 0.0  # when the last packet was sent

    @property
    def ordinary(self) -> bool:
        """Whether it was delivered and has no mark, so that it can be merged with its neighbours."""
        return self.transit.fate in ("crossed", "stayed") and not self.transit.mark


def arrows(
    traffic: Traffic,
    shown: Collection[str],
    since: float = 0.0,
    until: float = math.inf,
    *,
    acks: bool = False,
) -> list[Row]:
    """The arrows between the nodes in ``shown`` of the packets sent between ``since`` and ``until``.

    They are in order of time. Times are as of time.time(). Pure ACKs are included if ``acks`` is true.
    """
    rows = (row for row in _rows(traffic, acks) if since <= row.transit.sent.at < until)
    return list(_merged(row for row in rows if is_between(row.path, shown)))


def hidden_acks(traffic: Traffic, shown: Collection[str], since: float = 0.0, until: float = math.inf) -> int:
    """The number of pure ACKs between the nodes in ``shown`` that ``arrows`` omits."""
    paths = Paths(traffic)
    acks = (t for t in traffic.transits if _is_routine_ack(t) and since <= t.sent.at < until)
    return sum(is_between(paths.of(transit), shown) for transit in acks)


def folded_packets(traffic: Traffic, shown: Collection[str], since: float, until: float) -> int:
    """The number of packets that ``arrows`` omits because one of their ends isn't in ``shown``."""
    paths = Paths(traffic)
    within = (t for t in traffic.transits if since <= t.sent.at < until and not is_chatter(t.sent))
    return sum(not is_between(paths.of(transit), shown) for transit in within)


def _rows(traffic: Traffic, acks: bool) -> Iterator[Row]:
    paths, translated = Paths(traffic), set()
    for transit in traffic.transits:
        packet = transit.sent
        if is_chatter(packet) or (not acks and _is_routine_ack(transit)):
            continue
        new = ""
        if packet.flow not in translated:  # shown once for each direction of a connection
            new = ", ".join(translation.short for translation in paths.translations(transit))
            translated |= {packet.flow} if new else set()
        yield Row(transit, paths.of(transit), _label(packet), new, bytes=packet.length, until=packet.at)


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
        and held.path == row.path
        and not row.translation
        and (both_data or first.label == packet.label)
        and packet.at - held.until < BREAK
    )


def ends(rows: list[Row], most: int) -> tuple[list[Row | None], list[Row]]:
    """At most ``most`` rows from both ends, with None for a gap between them; and the omitted rows."""
    if len(rows) <= most:
        return list(rows), []
    head, tail = most * 2 // 3, most - most * 2 // 3
    return [*rows[:head], None, *rows[-tail:]], rows[head:-tail]
