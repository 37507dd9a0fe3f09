"""The packets in the page's format: a list for each field, and all bytes in one base64 text.

A browser parses lists of small numbers in milliseconds; 20,000 objects would take seconds.
"""

from __future__ import annotations

import base64
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeAlias

from lab.evidence.endpoint import Endpoint
from lab.evidence.packets import pcap
from lab.evidence.packets.packet import Packet
from lab.evidence.packets.traffic import CaptureInfo, Traffic
from lab.evidence.packets.transit import PacketTransit
from lab.evidence.trace.timeline import Clock

MAX_PACKETS = 50_000  # in the page: of a longer run, the first and the last
MAX_BYTES = 4 << 20  # of all packets, before base64
LEAST = 96  # bytes that are always kept of a packet, for its headers

# The same bits as in data.js.
LOST, RETRANSMITTED, DUPLICATE, CHANGED, RESET, UNSENT, CHORE, PROBE = 1, 2, 4, 8, 16, 32, 64, 128
MARKS = {"retransmission": RETRANSMITTED, "probe": PROBE, "duplicate": DUPLICATE, "corrupted": CHANGED}
# ICMPv6 types of neighbour discovery and multicast listener discovery (RFC 4861, RFC 3810).
CHORES = {*range(130, 138), 143}

FIELDS = (
    "route", "marks", "label", "protocol", "connection", "source", "target", "size", "wire",
    "left", "right",
)  # fmt: skip

Frames: TypeAlias = dict[tuple[str, int], bytes]


@dataclass
class Table:
    """Distinct texts, which packets refer to by index."""

    texts: list[str] = field(default_factory=list)
    _index: dict[str, int] = field(default_factory=dict)

    def put(self, text: str) -> int:
        if text not in self._index:
            self._index[text] = len(self.texts)
            self.texts.append(text)
        return self._index[text]


@dataclass
class Connections:
    """Groups of packets: a TCP connection, the datagrams between two ports, or ICMP between two nodes."""

    names: Mapping[str, str]
    table: list[str] = field(default_factory=list)
    ends: dict[frozenset[str], int] = field(
        default_factory=dict
    )  # the newest connection by both ends, as "address:port"
    _known: dict[tuple[str, frozenset[str]], int] = field(default_factory=dict)
    _pieces: dict[tuple[str, str, int], int] = field(default_factory=dict)

    def of(self, transit: PacketTransit) -> int | None:
        """The index of a packet's connection; for an ICMP error, that of the packet which it quotes."""
        packet = transit.sent
        piece = (packet.source, packet.destination, packet.ident)
        if packet.fragment > 0:
            return self._pieces.get(piece)
        subject = packet.about or packet
        if subject.protocol not in ("tcp", "udp", "icmp", "icmp6") or _is_chore(subject):
            return None
        ends = (subject.source, subject.sport), (subject.destination, subject.dport)
        key = (subject.protocol, frozenset(self._end(*end) for end in ends))
        opens = subject is packet and packet.flags == "S" and not transit.mark
        if opens or key not in self._known:
            self._open(key, subject)
        if packet.fragment == 0:
            self._pieces[piece] = self._known[key]
        return self._known[key]

    def _open(self, key: tuple[str, frozenset[str]], packet: Packet) -> None:
        arrow = "→" if packet.sport else "↔"
        source = self._title(packet.source, packet.sport)
        target = self._title(packet.destination, packet.dport)
        self._known[key] = self.ends[key[1]] = len(self.table)
        self.table.append(f"{packet.protocol.upper()} {source} {arrow} {target}")

    def _title(self, address: str, port: int) -> str:
        return self._end(self.names.get(address, address), port)

    @staticmethod
    def _end(address: str, port: int) -> str:
        return str(Endpoint(address, port)) if port else address


def pack(traffic: Traffic, folder: Path, clock: Clock, nodes: Sequence[str], left: str) -> dict[str, Any]:
    """The page's packets: fields, connections and bytes.

    ``left`` is the segment that is drawn on the left; ``nodes`` are the titles, in the page's order.
    """
    transits = _chosen(traffic.transits)
    frames = _frames(folder, traffic.captures, transits)
    labels, protocols, connections = Table(), Table(), Connections(traffic.names)
    index = {title: number for number, title in enumerate(nodes)}
    cards = _cards(transits, frames, traffic.names)
    rows = []
    for transit in transits:
        packet = transit.sent
        source = traffic.names.get(packet.source) or cards.get(_mac(packet, frames), "")
        target = traffic.names.get(packet.destination, "")
        rows.append(
            {
                "route": _route(transit, left),
                "marks": _marks(transit),
                "label": labels.put("ARP" if packet.protocol == "arp" else packet.label),
                "protocol": protocols.put(_protocol(packet)),
                "connection": connections.of(transit),
                "source": index.get(source, -1),
                "target": index.get(target, -1),
                "size": packet.length,
                "wire": packet.size,
                **_times(transit, left, clock),
            }
        )
    kept, text = _bytes(transits, frames)
    columns = {name: [row[name] for row in rows] for name in FIELDS}
    return {
        "packets": columns | kept,
        "bytes": text,
        "labels": labels.texts,
        "protocols": protocols.texts,
        "connections": connections.table,
        "ends": connections.ends,
        "left_out": len(traffic.transits) - len(transits),
    }


def _chosen(transits: list[PacketTransit]) -> list[PacketTransit]:
    """All packets, or the first and the last if there are more than MAX_PACKETS."""
    if len(transits) <= MAX_PACKETS:
        return transits
    return transits[: MAX_PACKETS // 2] + transits[-MAX_PACKETS // 2 :]


def _route(transit: PacketTransit, left: str) -> int:
    """0 left to right, 1 right to left, 2 within the left segment, 3 within the right one."""
    here = transit.sent.segment == left
    if transit.fate == "stayed":
        return 2 if here else 3
    if transit.fate == "appeared":  # it came from the other segment
        return 1 if here else 0
    return 0 if here else 1


def _times(transit: PacketTransit, left: str, clock: Clock) -> dict[str, int | None]:
    """When the packet was seen on each side; None past the router if a part of it was lost."""
    here = transit.sent.segment == left
    sent: int | None = clock.micros(transit.sent.at)
    arrived = None
    if transit.fate == "appeared":
        here, sent, arrived = not here, None, sent
    elif transit.fate == "crossed" and transit.arrived is not None:
        arrived = clock.micros(transit.arrived.at)
    return {"left": sent, "right": arrived} if here else {"left": arrived, "right": sent}


def _marks(transit: PacketTransit) -> int:
    marks = MARKS.get(transit.mark, 0)
    marks |= LOST if transit.fate == "lost" else 0
    marks |= UNSENT if transit.fate == "appeared" else 0
    marks |= RESET if "R" in transit.sent.flags else 0
    return marks | (CHORE if _is_chore(transit.sent) else 0)


def _is_chore(packet: Packet) -> bool:
    """Whether it belongs to ARP or neighbour discovery, and so wasn't sent by a program."""
    return packet.protocol == "arp" or (packet.protocol == "icmp6" and packet.icmp[0] in CHORES)


def _protocol(packet: Packet) -> str:
    return {"icmp6": "ICMPv6", "ip": "IP", "other": "other"}.get(packet.protocol, packet.protocol.upper())


# --- bytes -----------------------------------------------------------------------------------------


def _frames(folder: Path, captures: Mapping[str, CaptureInfo], transits: Sequence[PacketTransit]) -> Frames:
    """The captured bytes of each packet, by segment and number."""
    wanted = {(p.segment, p.number) for transit in transits for p in (transit.sent, transit.arrived) if p}
    return {
        (name, number): frame.data
        for name, capture in captures.items()
        for number, frame in enumerate(pcap.read(folder / capture.file), 1)
        if (name, number) in wanted
    }


def _bytes(transits: Sequence[PacketTransit], frames: Frames) -> tuple[dict[str, list[int | None]], str]:
    """The number of bytes kept of each packet, as first seen and as seen past the router; and the bytes.

    Each piece is padded to a multiple of three, so that its base64 can be read without the rest.
    """
    sent = [frames.get((p.sent.segment, p.sent.number), b"") for p in transits]
    arrived = [_second(p, frames) for p in transits]
    whole = sum(map(len, sent)) + sum(len(data or b"") for data in arrived)
    if whole > MAX_BYTES:  # past the router only corrupted packets are kept, because their bytes differ
        arrived = [d if p.mark == "corrupted" else None for p, d in zip(transits, arrived, strict=True)]
    limit = _limit([len(data) for data in [*sent, *filter(None, arrived)]])
    pieces = [data[:limit] for pair in zip(sent, arrived, strict=True) for data in pair if data is not None]
    text = base64.b64encode(b"".join(piece + bytes(-len(piece) % 3) for piece in pieces)).decode()
    kept: list[int | None] = [min(len(data), limit) for data in sent]
    kept2 = [None if data is None else min(len(data), limit) for data in arrived]
    return {"kept": kept, "kept2": kept2}, text


def _mac(packet: Packet, frames: Frames) -> bytes:
    """The Ethernet address of the sender."""
    return frames.get((packet.segment, packet.number), b"")[6:12]


def _cards(transits: Iterable[PacketTransit], frames: Frames, names: Mapping[str, str]) -> dict[bytes, str]:
    """The names of the nodes by Ethernet address, for link-local IPv6 addresses, which no record has."""
    sent = [transit.sent for transit in transits if transit.fate != "appeared"]
    return {_mac(packet, frames): names[packet.source] for packet in sent if packet.source in names}


def _second(transit: PacketTransit, frames: Frames) -> bytes | None:
    arrived = transit.arrived
    if arrived is None or transit.fate != "crossed":
        return None
    return frames.get((arrived.segment, arrived.number))


def _limit(lengths: Sequence[int]) -> int:
    """The number of bytes to keep of each packet, so that the total stays below MAX_BYTES."""
    low, high = LEAST, max([LEAST, *lengths])
    while low < high:
        middle = (low + high + 1) // 2
        if sum(min(length, middle) for length in lengths) <= MAX_BYTES:
            low = middle
        else:
            high = middle - 1
    return low
