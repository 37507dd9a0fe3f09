"""Traffic: all packets of a run, for checks, the diagnosis and the diagrams."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

from lab.evidence.endpoint import ANY, Endpoint
from lab.evidence.events import Event, Note, PacketPassed
from lab.evidence.packets import pcap
from lab.evidence.packets.capture_info import CaptureInfo, from_record
from lab.evidence.packets.connections import Connection, follow
from lab.evidence.packets.datagrams import Datagram, gather
from lab.evidence.packets.packet import Packet, decode, in_time
from lab.evidence.packets.routes.network import Network, network
from lab.evidence.packets.tracking import match
from lab.evidence.packets.transit import PacketTransit

__all__ = ["CaptureInfo", "Traffic", "load", "names_of", "read"]

MAX_EVENTS = 20_000  # packets in events.jsonl; the captures have all


class Traffic:
    """The packets of all segments, each followed across the routers.

    ``names`` maps addresses to node names. ``topology`` has the nodes, as lab.topology.node writes them; old
    records have none. If a capture isn't ``complete``, a packet that is missing from it may have been sent: a
    check that needs every packet must assert that it is.
    """

    def __init__(
        self,
        packets: Iterable[Packet],
        captures: Iterable[CaptureInfo],
        names: Mapping[str, str],
        topology: Sequence[Mapping[str, Any]] = (),
    ) -> None:
        self.packets = in_time(packets)
        self.captures = {capture.name: capture for capture in captures}
        self.names = dict(names)
        self.topology = topology
        self.read_again: Callable[[], Traffic] | None = None  # while the recording goes on

    def again(self) -> Traffic:
        """The packets up to now, if the recording goes on; otherwise these."""
        return self.read_again() if self.read_again else self

    def select(self, wanted: Callable[[Packet], bool]) -> Traffic:
        """The traffic of the wanted packets only."""
        packets = filter(wanted, self.packets)
        selected = Traffic(packets, self.captures.values(), self.names, self.topology)
        if self.read_again:
            selected.read_again = lambda: self.again().select(wanted)
        return selected

    @cached_property
    def network(self) -> Network:
        """The nodes and captures, and what each router does with a packet."""
        return network(self.topology, self.captures.values())

    @property
    def cabling(self) -> list[CaptureInfo]:
        """The captures of routers, which show how the segments are joined; without a router, all of them."""
        return list(self.network.of_routers or self.captures.values())

    @property
    def complete(self) -> bool:
        """Whether the captures have every packet of all segments."""
        return all(capture.complete for capture in self.captures.values())

    @cached_property
    def transits(self) -> list[PacketTransit]:
        """Each packet once, with its fate."""
        gaps = [capture.gap for capture in self.captures.values() if capture.gap]
        return match(self.packets, self.network, gaps)

    @cached_property
    def _connections(self) -> list[Connection]:
        return follow(self.transits, self.names)

    @cached_property
    def _datagrams(self) -> list[Datagram]:
        return gather(self.transits, self.names)

    def connections(self, port: int | None = None) -> list[Connection]:
        """TCP connections, and attempts to connect; only those to ``port`` if it is given.

        Of a forwarded port, the port of the router and that of the server are meant.
        """
        return [c for c in self._connections if port in (None, c.port, c.server_port)]

    def datagrams(self, port: int | None = None) -> list[Datagram]:
        """UDP datagrams; only those to ``port`` if it is given."""
        return [d for d in self._datagrams if port in (None, d.port)]

    def seen(self, segment: str, **fields: Any) -> list[Packet]:
        """The packets on one segment with these field values: ``seen("office", flags="S", dport=8001)``.

        Raises ValueError for a segment that wasn't captured, and AttributeError for an unknown field, because
        a misspelt field would find no packets.
        """
        if segment not in self.captures:
            raise ValueError(f"no capture of {segment!r}; there are {', '.join(self.captures)}")
        for name in fields:
            getattr(Packet, name)
        wanted = fields.items()
        return [
            packet
            for packet in self.packets
            if packet.segment == segment and all(getattr(packet, name) == value for name, value in wanted)
        ]

    def events(self) -> Iterator[Event]:
        """The packets as events of the timeline: the first MAX_EVENTS, and a note if there are more."""
        for transit in self.transits[:MAX_EVENTS]:
            yield _event(transit, self.network.node(transit.sent.segment))
        if len(self.transits) > MAX_EVENTS:
            left_out = len(self.transits) - MAX_EVENTS
            yield Note(self.transits[MAX_EVENTS].sent.at, "lab", f"{left_out} more packets passed")

    def plain(self, port: int | None = None) -> dict[str, Any]:
        """Connections and datagrams as plain values, for a record."""
        return {
            "complete": self.complete,
            "connections": [connection.to_dict() for connection in self.connections(port)],
            "datagrams": [datagram.to_dict() for datagram in self.datagrams(port)],
        }


def _event(transit: PacketTransit, router: str) -> PacketPassed:
    packet = transit.sent
    return PacketPassed(
        packet.at,
        router,
        segment=packet.segment,
        number=packet.number,
        protocol=packet.protocol,
        source=Endpoint(packet.source or ANY, packet.sport),
        destination=Endpoint(packet.destination or ANY, packet.dport),
        label=packet.label,
        flags=packet.flags,
        length=packet.length,
        fate=transit.fate,
        mark=transit.mark,
        arrived=transit.arrived.at if transit.arrived else None,
        lost_at=transit.lost_at,
        lost_on=transit.lost_on,
        translated=transit.translated,
    )


def names_of(nodes: Mapping[str, Mapping[str, Iterable[str]]]) -> dict[str, str]:
    """The names of the nodes by address, from the record's ``nodes``."""
    return {
        address: name
        for name, node in nodes.items()
        for address in [*node.get("addresses", ()), *node.get("addresses6", ())]
    }


def load(folder: Path) -> Traffic:
    """The traffic of the run in ``folder``. Raises OSError or ValueError if it can't be read."""
    record = json.loads((folder / "record.json").read_text(encoding="utf-8"))
    nodes = record.get("nodes", {})
    names = names_of(nodes)
    captures = [from_record(about, nodes, names) for about in record.get("captures", [])]
    segments = [capture for capture in captures if capture.segment and capture.networks]
    packets = [packet for capture in segments for packet in read(folder / capture.file, capture.name)]
    return Traffic(packets, segments, names, record.get("topology", ()))


def read(path: Path, segment: str) -> list[Packet]:
    """The packets of one capture file."""
    return [
        decode(frame.data, frame.at, frame.size, segment, number)
        for number, frame in enumerate(pcap.read(path), 1)
    ]
