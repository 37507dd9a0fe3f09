"""Finds the flow that entered a translating router for each flow that left it, if only one is possible."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Hashable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple, TypeAlias

from lab.evidence.packets.packet import Packet
from lab.evidence.packets.routes.matching import SLACK

ECHO_REQUESTS, ECHO_REPLIES = (("icmp", 8), ("icmp6", 128)), (("icmp", 0), ("icmp6", 129))


class Flow(NamedTuple):
    """One direction of a conversation. Of an echo, the port of the requesting side is the identifier."""

    protocol: str
    source: str
    sport: int
    destination: str
    dport: int

    @property
    def reverse(self) -> Flow:
        return Flow(self.protocol, self.destination, self.dport, self.source, self.sport)


def flow_of(packet: Packet) -> Flow:
    """The flow of a packet."""
    sport, dport = packet.sport, packet.dport
    if (packet.protocol, packet.icmp[0]) in ECHO_REQUESTS:
        sport = packet.echo[0]
    elif (packet.protocol, packet.icmp[0]) in ECHO_REPLIES:
        dport = packet.echo[0]
    return Flow(packet.protocol, packet.source, sport, packet.destination, dport)


def _invariant(packet: Packet) -> Hashable:
    """The fields that neither a router nor a translation changes."""
    return (
        packet.protocol, packet.ident, packet.fragment, packet.seq, packet.ack, packet.flags, packet.window,
        packet.length, packet.icmp, packet.echo[1], packet.payload,
    )  # fmt: skip


Side: TypeAlias = Callable[
    [Packet, Flow], Hashable
]  # the fields by which two flows of one packet are compared


def by_destination(packet: Packet, flow: Flow) -> Hashable:
    return (flow.destination, flow.dport, _invariant(packet))


def by_source(packet: Packet, flow: Flow) -> Hashable:
    return (flow.source, flow.sport, _invariant(packet))


@dataclass(frozen=True)
class Conversation:
    """The packets of one flow that left; of TCP, those of one connection."""

    flow: Flow
    packets: list[Packet]


@dataclass
class Origins:
    """Finds the only flow that can have entered for each conversation that left."""

    side: Side
    entering: Mapping[Flow, tuple[Flow, list[Packet]]]
    undecided: set[int] = field(default_factory=set)

    def __post_init__(self) -> None:
        # For each content, the flows that have it, with the number of their packets.
        self._supply: dict[Hashable, Counter[Flow]] = defaultdict(Counter)
        self._first: dict[tuple[Hashable, Flow], float] = {}
        for flow, (target, packets) in self.entering.items():
            for packet in packets:
                key = (packet.ttl - 1, self.side(packet, target))
                self._supply[key][flow] += 1
                self._first.setdefault((key, flow), packet.at)

    def run(self, leaving: Iterable[Conversation]) -> list[tuple[Flow, Conversation, float]]:
        """Each conversation with its only possible origin, and the time since which it is valid."""
        found: list[tuple[Flow, Conversation, float]] = []
        waiting, progress = list(leaving), True
        while progress:
            left = []
            for conversation in waiting:
                origins = self._origins(conversation)
                if len(origins) == 1:
                    flow = origins.pop()
                    self._use(flow, conversation)
                    found.append((flow, conversation, self._since(flow, conversation)))
                elif origins:
                    left.append(conversation)
            progress, waiting = len(left) < len(waiting) and bool(found), left
        for conversation in waiting:
            self._leave_undecided(conversation)
        return found

    def _key(self, packet: Packet, flow: Flow) -> Hashable:
        return (packet.ttl, self.side(packet, flow))

    def _origins(self, conversation: Conversation) -> set[Flow]:
        """The flows that have each packet of the conversation, before it left.

        Packets that no flow has are corrupted, or were split.
        """
        origins: set[Flow] | None = None
        for packet in conversation.packets:
            key = self._key(packet, conversation.flow)
            flows = {f for f in self._supply.get(key, ()) if self._first[key, f] <= packet.at + SLACK}
            if flows:
                origins = flows if origins is None else origins & flows
        return origins or set()

    def _use(self, flow: Flow, conversation: Conversation) -> None:
        """Removes the packets of a proved conversation from the supply: each leaves once."""
        for packet in conversation.packets:
            supply = self._supply.get(self._key(packet, conversation.flow), Counter())
            if supply[flow] > 1:
                supply[flow] -= 1
            else:
                del supply[flow]

    def _since(self, flow: Flow, conversation: Conversation) -> float:
        first = conversation.packets[0].at + SLACK
        return max((p.at for p in self.entering[flow][1] if p.at <= first), default=first)

    def _leave_undecided(self, conversation: Conversation) -> None:
        contents = {self._key(packet, conversation.flow) for packet in conversation.packets}
        self.undecided.update(map(id, conversation.packets))
        for flow in self._origins(conversation):
            target, packets = self.entering[flow]
            self.undecided.update(
                id(packet) for packet in packets if (packet.ttl - 1, self.side(packet, target)) in contents
            )


def flows_in(packets: Iterable[Packet]) -> dict[Flow, list[Packet]]:
    """The packets by flow, without ICMP errors and later fragments."""
    found: dict[Flow, list[Packet]] = defaultdict(list)
    for packet in packets:
        if packet.about is None and packet.fragment <= 0 and packet.protocol != "other":
            found[flow_of(packet)].append(packet)
    return found


def conversations(packets: Iterable[Packet]) -> list[Conversation]:
    """The packets by flow; a SYN with another sequence number begins a new TCP connection."""
    found = []
    for flow, own in flows_in(packets).items():
        current = Conversation(flow, [])
        syn = None
        for packet in own:
            if "S" in packet.flags and syn not in (None, packet.seq):
                found.append(current)
                current = Conversation(flow, [])
            syn = packet.seq if "S" in packet.flags else syn
            current.packets.append(packet)
        found.append(current)
    return found
