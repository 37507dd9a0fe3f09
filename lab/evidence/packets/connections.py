"""TCP connections, reconstructed from packets: handshake, bytes in each direction, retransmissions, close."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Literal, TypeAlias

from lab.evidence.endpoint import Endpoint
from lab.evidence.packets.packet import Packet
from lab.evidence.packets.sequence_tracker import SequenceTracker
from lab.evidence.packets.transit import PacketTransit

Handshake: TypeAlias = Literal["complete", "refused", "unanswered", "half", "unseen"]
Side: TypeAlias = Literal["client", "server"]
Ends: TypeAlias = tuple[str, int, str, int]  # source and destination

ROUTER_FIELDS = ("lost_at", "lost_on", "translated", "icmp_error")  # only in a record if they aren't empty


@dataclass
class Direction:
    """One direction of a connection. Packets are counted on the sender's segment, before any loss."""

    packets: int = 0
    bytes: int = 0  # of payload that left the last router (or stayed on the segment), without repetitions
    sent: int = 0  # bytes of payload that were sent, without repetitions
    retransmissions: int = 0
    lost: int = 0  # packets that a router didn't send on
    duplicates: int = 0  # copies that left the last router
    syns: int = 0
    syns_arrived: int = 0
    fin_at: float | None = None  # when the first FIN was sent
    fin_arrived: bool = False
    reset_at: float | None = None
    reset_arrived: bool = False
    zero_windows: int = 0  # packets with a window of 0: this side's receive buffer was full
    lost_at: str = ""  # the router that lost the last of the lost packets
    lost_on: str = ""  # the segment on which it was lost, between two routers


@dataclass
class Connection:
    """One TCP connection, or an attempt to connect.

    handshake   complete | refused (answered with RST) | unanswered (no answer came back) | half (SYN ACK
                without its ACK) | unseen (the connection is older than the capture)

    The addresses are those that the client uses. If a router translates them, ``translated`` has those of the
    client and of the server that the server uses.
    """

    client: str  # the side that connected: a node's name, or an unknown address
    server: str
    client_address: Endpoint
    server_address: Endpoint
    started: float
    handshake: Handshake = "unanswered"
    connect_seconds: float | None = None  # from the last SYN to the ACK of its answer
    ended: float = 0.0  # the time of its last packet
    closed_first: str = ""  # the node that sent the first FIN or RST; "" if neither did
    reset_by: str = ""  # a router, if it has no translation for the connection
    unreachable: str = ""  # the label of an ICMP error about it
    unreachable_from: str = ""  # the node that sent the error
    icmp_error: tuple[str, int, int] | None = None  # its protocol, type and code
    translated: tuple[Endpoint, Endpoint] | None = None
    from_client: Direction = field(default_factory=Direction)
    from_server: Direction = field(default_factory=Direction)

    @property
    def port(self) -> int:
        """The server's port, as the client uses it."""
        return self.server_address.port

    @property
    def server_port(self) -> int:
        """The server's port, as the server uses it."""
        return self.translated[1].port if self.translated else self.port

    @property
    def ends(self) -> frozenset[frozenset[Endpoint]]:
        """The addresses of both ends, as the client uses them, and as the server does."""
        pairs = [(self.client_address, self.server_address), self.translated]
        return frozenset(frozenset(pair) for pair in pairs if pair)

    @property
    def closed(self) -> bool:
        """Whether both sides closed, or one reset it."""
        both = self.from_client.fin_at is not None and self.from_server.fin_at is not None
        return both or bool(self.reset_by)

    @property
    def seconds(self) -> float:
        return self.ended - self.started

    def to_dict(self) -> dict[str, Any]:
        """As plain values, for a record."""
        ends = {"client_address": str(self.client_address), "server_address": str(self.server_address)}
        facts = {"port": self.port, "closed": self.closed, "seconds": round(self.seconds, 6)}
        plain = asdict(self) | ends | facts | {"translated": list(map(str, self.translated or ()))}
        return {name: value for name, value in plain.items() if value or name not in ROUTER_FIELDS}


class ConnectionTracker:
    """Assigns TCP packets, in order of time, to connections."""

    def __init__(self, names: dict[str, str]) -> None:
        self._names = names  # a node's name by address
        self._open: dict[Ends, _TrackedConnection] = {}  # by each pair of addresses from the client's side
        self.connections: list[Connection] = []

    def feed(self, transit: PacketTransit) -> None:
        packet = transit.sent
        if packet.about is not None and packet.about.protocol == "tcp":
            self._unreachable(packet)
        if packet.protocol != "tcp" or packet.fragment > 0:
            return
        here, there = _ends(packet), _reverse(_ends(packet))
        followed = self._open.get(here) or self._open.get(there)
        if followed is None or followed.begins_anew(packet):
            followed = self._begin(transit)
        elif transit.translated and followed.connection.translated is None:
            self._translate(followed, transit)
        followed.feed(transit)

    def _begin(self, transit: PacketTransit) -> _TrackedConnection:
        packet = transit.sent
        ends = _ends(packet)
        if packet.flags == "SA" or ("S" not in packet.flags and packet.sport < packet.dport):
            ends = _reverse(
                _ends(transit.sightings[-1])
            )  # older than the capture: servers have the lower port
        followed = _TrackedConnection(self._new(ends, packet.at), {ends[:2]}, self._names)
        if "S" not in packet.flags:
            followed.connection.handshake = "unseen"
        self._open.pop(_reverse(ends), None)
        self._open[ends] = followed
        if transit.translated:
            self._translate(followed, transit)
        self.connections.append(followed.connection)
        return followed

    def _translate(self, followed: _TrackedConnection, transit: PacketTransit) -> None:
        """Notes the addresses that the server uses."""
        packet = transit.sent
        from_client = followed.is_client(packet)
        ends = _ends(transit.sightings[-1]) if from_client else _reverse(_ends(packet))
        followed.connection.translated = Endpoint(*ends[:2]), Endpoint(*ends[2:])
        followed.connection.server = self._names.get(ends[2], ends[2])
        followed.client.add(ends[:2])
        self._open[ends] = followed

    def _new(self, ends: Ends, at: float) -> Connection:
        return Connection(
            client=self._names.get(ends[0], ends[0]),
            server=self._names.get(ends[2], ends[2]),
            client_address=Endpoint(*ends[:2]),
            server_address=Endpoint(*ends[2:]),
            started=at,
        )

    def _unreachable(self, packet: Packet) -> None:
        about = packet.about
        assert about is not None
        followed = self._open.get(_ends(about))
        if followed is not None and packet.is_error:
            followed.connection.unreachable = packet.label
            followed.connection.unreachable_from = self._names.get(packet.source, packet.source)
            followed.connection.icmp_error = (packet.protocol, *packet.icmp)


class _TrackedConnection:
    """A connection and the state that is needed to track it."""

    def __init__(
        self, connection: Connection, client: set[tuple[str, int]], names: Mapping[str, str]
    ) -> None:
        self.connection = connection
        self.client = client  # its addresses and ports; translated ones too
        self._names = names
        self._syn_at: float | None = None
        self._syn_seq: int | None = None
        self._sent = {"client": SequenceTracker(), "server": SequenceTracker()}
        self._left_router = {"client": SequenceTracker(), "server": SequenceTracker()}

    def is_client(self, packet: Packet) -> bool:
        """Whether the client sent the packet."""
        return (packet.source, packet.sport) in self.client

    def begins_anew(self, packet: Packet) -> bool:
        """Whether ``packet`` opens a new connection between the same addresses and ports."""
        if packet.flags.replace("E", "").replace("C", "") != "S":
            return False
        return self.connection.closed or self._syn_seq not in (None, packet.seq)

    def feed(self, transit: PacketTransit) -> None:
        packet, connection = transit.sent, self.connection
        side: Side = "client" if self.is_client(packet) else "server"
        way = connection.from_client if side == "client" else connection.from_server
        if transit.mark == "duplicate":
            way.duplicates += 1
            return
        connection.ended = max(connection.ended, packet.at)
        way.packets += 1
        if transit.fate == "lost":
            way.lost += 1
            way.lost_at, way.lost_on = transit.lost_at, transit.lost_on
        way.retransmissions += transit.mark == "retransmission"
        way.zero_windows += packet.window == 0 and not {"R", "S"} & set(packet.flags)
        self._count_bytes(transit, side, way)
        self._handshake(transit, side, way)
        self._ending(transit, side, way)

    def _count_bytes(self, transit: PacketTransit, side: Side, way: Direction) -> None:
        packet = transit.sent
        way.sent += min(packet.length, self._sent[side].add(packet))
        if transit.fate != "lost" and transit.mark != "corrupted":
            way.bytes += min(packet.length, self._left_router[side].add(packet))

    def _handshake(self, transit: PacketTransit, side: Side, way: Direction) -> None:
        packet, connection = transit.sent, self.connection
        left_router = transit.fate != "lost"
        if "S" in packet.flags:
            way.syns += 1
            way.syns_arrived += left_router
            if side == "client":
                self._syn_at, self._syn_seq = packet.at, packet.seq
            elif connection.handshake == "unanswered" and left_router:
                connection.handshake = "half"
        elif connection.handshake == "half" and side == "client" and "R" not in packet.flags:
            connection.handshake = "complete"
            connection.connect_seconds = None if self._syn_at is None else round(packet.at - self._syn_at, 6)

    def _ending(self, transit: PacketTransit, side: Side, way: Direction) -> None:
        packet, connection = transit.sent, self.connection
        who = self._names.get(packet.source, packet.source)
        left_router = transit.fate != "lost"
        if "R" in packet.flags:
            if connection.handshake == "unanswered" and side == "server" and left_router:
                connection.handshake = "refused"
            way.reset_at = way.reset_at or packet.at
            way.reset_arrived |= left_router
            connection.reset_by = connection.reset_by or who
        elif "F" in packet.flags:
            way.fin_at = way.fin_at or packet.at
            way.fin_arrived |= left_router
        else:
            return
        if connection.handshake != "refused":
            connection.closed_first = connection.closed_first or who


def _ends(packet: Packet) -> Ends:
    return packet.source, packet.sport, packet.destination, packet.dport


def _reverse(ends: Ends) -> Ends:
    return (*ends[2:], *ends[:2])


def follow(transits: Iterable[PacketTransit], names: dict[str, str]) -> list[Connection]:
    """The connections in ``transits``, in the order of their first packets."""
    tracker = ConnectionTracker(names)
    for transit in transits:
        tracker.feed(transit)
    return tracker.connections
