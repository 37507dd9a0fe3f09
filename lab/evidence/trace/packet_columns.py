"""The packets in the page's format: a list for each field.

A browser parses lists of small numbers in milliseconds; 20,000 objects would take seconds.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path as FilePath
from typing import Any, Generic, NamedTuple, TypeVar

from lab.evidence.diagram.packet_path import Path, Paths, Translation
from lab.evidence.endpoint import Endpoint
from lab.evidence.packets.packet import Packet
from lab.evidence.packets.traffic import Traffic
from lab.evidence.packets.transit import PacketTransit
from lab.evidence.trace.packet_bytes import Frames, encode, read_frames
from lab.evidence.trace.timeline import Clock

MAX_PACKETS = 50_000  # in the page: of a longer run, the first and the last

# The same bits as in data.js.
LOST, RETRANSMITTED, DUPLICATE, CHANGED, RESET, UNSENT, CHORE, PROBE = 1, 2, 4, 8, 16, 32, 64, 128
MARKS = {"retransmission": RETRANSMITTED, "probe": PROBE, "duplicate": DUPLICATE, "corrupted": CHANGED}
# ICMPv6 types of neighbour discovery and multicast listener discovery (RFC 4861, RFC 3810).
CHORES = {*range(130, 138), 143}

FIELDS = (
    "way", "marks", "label", "protocol", "connection", "source", "target", "size", "wire", "seen",
    "translation",
)  # fmt: skip

TABLES = ("labels", "protocols", "connections", "ways", "captures", "translations")

T = TypeVar("T")


@dataclass
class Table(Generic[T]):
    """Distinct values, which packets refer to by index."""

    values: list[T] = field(default_factory=list)
    _index: dict[T, int] = field(default_factory=dict)

    def put(self, value: T) -> int:
        if value not in self._index:
            self._index[value] = len(self.values)
            self.values.append(value)
        return self._index[value]


class Way(NamedTuple):
    """The path of a packet, and the capture of each of its sightings."""

    path: Path
    captures: tuple[str, ...]

    def to_json(self, nodes: Mapping[str, int], captures: Sequence[str]) -> dict[str, Any]:
        """The path with numbers in place of names; -1 is an unknown node."""
        legs = [
            [nodes.get(leg.source, -1), nodes.get(leg.target, -1), leg.first, leg.last]
            for leg in self.path.legs
        ]
        return {
            "legs": legs,
            "lost": nodes.get(self.path.lost_at, -1) if self.path.lost_at else None,
            "beyond": self.path.lost_on,
            "unsent": self.path.unsent,
            "captures": [captures.index(name) for name in self.captures],
        }


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
        keys = [self._key(each) for each in (transit.sightings if subject is packet else (subject,))]
        opens = subject is packet and packet.flags == "S" and not transit.mark
        found = None if opens else next((self._known[key] for key in keys if key in self._known), None)
        number = self._open(subject) if found is None else found
        for key in keys:  # past a translation the same connection has other ends
            self._known[key] = self.ends[key[1]] = number
        if packet.fragment == 0:
            self._pieces[piece] = number
        return number

    def _key(self, packet: Packet) -> tuple[str, frozenset[str]]:
        """The protocol and both ends."""
        ends = (packet.source, packet.sport), (packet.destination, packet.dport)
        return packet.protocol, frozenset(self._end(*end) for end in ends)

    def _open(self, packet: Packet) -> int:
        arrow = "→" if packet.sport else "↔"
        source = self._title(packet.source, packet.sport)
        target = self._title(packet.destination, packet.dport)
        self.table.append(f"{packet.protocol.upper()} {source} {arrow} {target}")
        return len(self.table) - 1

    def _title(self, address: str, port: int) -> str:
        return self._end(self.names.get(address, address), port)

    @staticmethod
    def _end(address: str, port: int) -> str:
        return str(Endpoint(address, port)) if port else address


def pack(traffic: Traffic, folder: FilePath, clock: Clock, nodes: Sequence[str]) -> dict[str, Any]:
    """The page's packets: fields, ways, connections and bytes.

    ``nodes`` are the titles, in the page's order.
    """
    transits = _chosen(traffic.transits)
    frames = read_frames(folder, traffic.captures, transits)
    labels, protocols, translations = Table[str](), Table[str](), Table[tuple[Translation, ...]]()
    ways, connections, paths = Table[Way](), Connections(traffic.names), Paths(traffic)
    index = {title: number for number, title in enumerate(nodes)}
    cards = _cards(transits, frames, traffic.names)
    rows = []
    for transit in transits:
        packet, seen = transit.sent, transit.sightings
        path = paths.of(transit, cards.get(_mac(packet, frames), ""))
        translated = tuple(paths.translations(transit))
        rows.append(
            {
                "way": ways.put(Way(path, tuple(sighting.segment for sighting in seen))),
                "marks": _marks(transit),
                "label": labels.put("ARP" if packet.protocol == "arp" else packet.label),
                "protocol": protocols.put(_protocol(packet)),
                "connection": connections.of(transit),
                "source": index.get(path.sender, -1),
                "target": index.get(path.receiver, -1),
                "size": packet.length,
                "wire": packet.size,
                "seen": [clock.micros(sighting.at) for sighting in seen],
                "translation": translations.put(translated) if translated else None,
            }
        )
    kept, text = encode(transits, frames)
    names = list(traffic.captures)
    return {
        "packets": {name: [row[name] for row in rows] for name in FIELDS} | {"kept": kept},
        "bytes": text,
        "labels": labels.values,
        "protocols": protocols.values,
        "connections": connections.table,
        "ends": connections.ends,
        "ways": [way.to_json(index, names) for way in ways.values],
        "captures": [
            {"segment": capture.segment, "node": index.get(capture.node, -1)}
            for capture in traffic.captures.values()
        ],
        "translations": [[_translation(each, index) for each in found] for found in translations.values],
        "left_out": len(traffic.transits) - len(transits),
    }


def _translation(found: Translation, nodes: Mapping[str, int]) -> dict[str, Any]:
    return {"node": nodes.get(found.node, -1), "text": found.text, "short": found.short}


def _chosen(transits: list[PacketTransit]) -> list[PacketTransit]:
    """All packets, or the first and the last if there are more than MAX_PACKETS."""
    if len(transits) <= MAX_PACKETS:
        return transits
    return transits[: MAX_PACKETS // 2] + transits[-MAX_PACKETS // 2 :]


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


def _mac(packet: Packet, frames: Frames) -> bytes:
    """The Ethernet address of the sender."""
    return frames.get((packet.segment, packet.number), b"")[6:12]


def _cards(transits: Iterable[PacketTransit], frames: Frames, names: Mapping[str, str]) -> dict[bytes, str]:
    """The names of the nodes by Ethernet address, for link-local IPv6 addresses, which no record has."""
    sent = [transit.sent for transit in transits if transit.fate != "appeared"]
    return {_mac(packet, frames): names[packet.source] for packet in sent if packet.source in names}
