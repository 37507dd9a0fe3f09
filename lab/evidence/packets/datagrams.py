"""UDP datagrams, reassembled from packets that were followed across the routers."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any, TypeAlias

from lab.evidence.endpoint import Endpoint
from lab.evidence.packets.connections import ROUTER_FIELDS
from lab.evidence.packets.packet import Packet
from lab.evidence.packets.transit import Fate, PacketTransit

PREVIEW = 64  # bytes of the payload in a record


@dataclass
class Datagram:
    """One UDP datagram. It is ``lost`` if a router didn't send on any of its fragments.

    The addresses are those at the sender; if a router translates them, ``translated`` has those at the
    receiver.
    """

    sender: str  # a node's name, or an unknown address
    receiver: str
    source: Endpoint
    destination: Endpoint
    length: int  # bytes of payload
    sent_at: float
    # When its last fragment left the last router; None if it was lost or didn't have to cross one.
    arrived_at: float | None
    fate: Fate
    payload: bytes = b""  # the captured part
    copies: int = 0  # duplicates that left the last router
    fragments: int = 1
    fragments_lost: int = 0
    unreachable: str = ""  # the label of an ICMP error about it
    unreachable_from: str = ""  # the node that sent the error
    port_unreachable: bool = False  # whether the error says that nothing listens on the port
    icmp_error: tuple[str, int, int] | None = None  # the error's protocol, type and code
    lost_at: str = ""  # the router that lost it
    lost_on: str = ""  # the segment between two routers on which it was lost
    translated: tuple[Endpoint, Endpoint] | None = None

    @property
    def port(self) -> int:
        """The receiver's port, as the sender uses it."""
        return self.destination.port

    @property
    def server_port(self) -> int:
        """The receiver's port, as the receiver uses it."""
        return self.translated[1].port if self.translated else self.port

    @property
    def lost(self) -> bool:
        return self.fate == "lost"

    def to_dict(self) -> dict[str, Any]:
        """As plain values, for a record; the start of the payload as text."""
        text = self.payload[:PREVIEW].decode(errors="backslashreplace")
        ends = {"source": str(self.source), "destination": str(self.destination)}
        plain = asdict(self) | ends | {"port": self.port, "lost": self.lost, "payload": text}
        plain |= {"translated": list(map(str, self.translated or ()))}
        return {name: value for name, value in plain.items() if value or name not in ROUTER_FIELDS}


Ident: TypeAlias = tuple[str, str, int]


def gather(transits: Iterable[PacketTransit], names: dict[str, str]) -> list[Datagram]:
    """The datagrams in ``transits``, in the order of sending."""
    found: list[Datagram] = []
    by_packet: dict[int, Datagram] = {}
    parts: dict[Ident, Datagram] = {}
    for transit in transits:
        packet = transit.sent
        if packet.about is not None and packet.is_error:
            _add_error(found, packet, names)
        elif transit.mark == "duplicate" and id(packet) in by_packet:
            by_packet[id(packet)].copies += transit.fate != "lost"
        elif packet.protocol == "udp":
            datagram = by_packet[id(packet)] = _datagram(transit, names)
            found.append(datagram)
            if packet.fragment == 0:
                parts[(packet.source, packet.destination, packet.ident)] = datagram
        elif packet.protocol == "ip" and packet.fragment > 0:
            whole = parts.get((packet.source, packet.destination, packet.ident))
            if whole is not None:
                _add(whole, transit)
    return found


def _datagram(transit: PacketTransit, names: dict[str, str]) -> Datagram:
    packet, last = transit.sent, transit.sightings[-1]
    return Datagram(
        sender=names.get(packet.source, packet.source),
        receiver=names.get(last.destination, last.destination),
        source=_source(packet),
        destination=_destination(packet),
        length=packet.length,
        sent_at=packet.at,
        arrived_at=transit.arrived.at if transit.arrived else None,
        fate=transit.fate,
        payload=packet.payload,
        fragments_lost=int(transit.fate == "lost"),
        lost_at=transit.lost_at,
        lost_on=transit.lost_on,
        translated=(_source(last), _destination(last)) if transit.translated else None,
    )


def _source(packet: Packet) -> Endpoint:
    return Endpoint(packet.source, packet.sport)


def _destination(packet: Packet) -> Endpoint:
    return Endpoint(packet.destination, packet.dport)


def _add(whole: Datagram, transit: PacketTransit) -> None:
    """Adds a later fragment to its datagram."""
    whole.fragments += 1
    whole.length += transit.sent.length
    if transit.fate == "lost":
        whole.fragments_lost += 1
        whole.fate, whole.arrived_at = "lost", None
        whole.lost_at, whole.lost_on = transit.lost_at, transit.lost_on
    elif transit.arrived is not None and whole.arrived_at is not None:
        whole.arrived_at = max(whole.arrived_at, transit.arrived.at)


def _add_error(found: list[Datagram], error: Packet, names: dict[str, str]) -> None:
    """Adds an ICMP error to the last datagram between its addresses and ports."""
    about = error.about
    if about is None or about.protocol != "udp":
        return
    ends = _source(about), _destination(about)
    for datagram in reversed(found):
        if ends in ((datagram.source, datagram.destination), datagram.translated):
            datagram.unreachable = error.label
            datagram.port_unreachable = error.is_port_unreachable
            datagram.icmp_error = (error.protocol, *error.icmp)
            datagram.unreachable_from = names.get(error.source, error.source)
            return
