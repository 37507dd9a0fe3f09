"""Finds the address translation of a router from its captures.

The router replaces the sender's address and port (masquerading), or the receiver's (port forwarding). Port
forwarding is in the plan. A masqueraded flow is found by its packets, whose other fields stay the same, and
only if no other flow can be its origin: otherwise its packets are undecided.
"""

from __future__ import annotations

from bisect import bisect_right, insort
from collections import Counter, defaultdict
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import NamedTuple, TypeAlias

from lab.evidence.packets.matching import SLACK
from lab.evidence.packets.network import NetworkNode
from lab.evidence.packets.packet import Packet

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


def _with_flow(packet: Packet, flow: Flow) -> Packet:
    """The packet with the addresses and ports of a flow."""
    if packet.echo[0] >= 0:
        echo = (flow.sport or flow.dport, packet.echo[1])
        return replace(packet, source=flow.source, destination=flow.destination, echo=echo)
    return replace(
        packet, source=flow.source, sport=flow.sport, destination=flow.destination, dport=flow.dport
    )


def _lasting(packet: Packet) -> Hashable:
    """The fields that neither a router nor a translation changes."""
    return (
        packet.protocol, packet.ident, packet.fragment, packet.seq, packet.ack, packet.flags, packet.window,
        packet.length, packet.icmp, packet.echo[1], packet.payload,
    )  # fmt: skip


@dataclass
class _Sessions:
    """The flow that leaves the router for each flow that enters it, and since when."""

    _known: dict[Flow, list[tuple[float, Flow]]] = field(default_factory=lambda: defaultdict(list))

    def add(self, entering: Flow, leaving: Flow, since: float) -> None:
        """Adds both directions of a conversation."""
        for one, other in ((entering, leaving), (leaving.reverse, entering.reverse)):
            if (since, other) not in self._known[one]:
                insort(self._known[one], (since, other))

    def leaving(self, entering: Flow, at: float) -> Flow | None:
        """The flow of a packet, which enters at this time, when it leaves."""
        known = self._known.get(entering)
        if not known:
            return None
        index = bisect_right(known, at + SLACK, key=lambda session: session[0])
        return known[max(0, index - 1)][1]


Side: TypeAlias = Callable[
    [Packet, Flow], Hashable
]  # the fields by which two flows of one packet are compared


def _by_destination(packet: Packet, flow: Flow) -> Hashable:
    return (flow.destination, flow.dport, _lasting(packet))


def _by_source(packet: Packet, flow: Flow) -> Hashable:
    return (flow.source, flow.sport, _lasting(packet))


@dataclass
class Translation:
    """The translation of one router. ``near`` are packets that it received, ``far`` all that it sent."""

    router: NetworkNode
    near: Sequence[Packet]
    far: Sequence[Packet]
    segment: Callable[[str], str]  # of a capture
    images: dict[int, Packet] = field(default_factory=dict)  # the translated packet, by id() of the original
    undecided: set[int] = field(default_factory=set)  # ids of packets whose other half can't be proved
    _sessions: _Sessions = field(default_factory=_Sessions)

    def __post_init__(self) -> None:
        self._entering = _flows(self.near)
        self._leaving = _conversations(self.far)
        self._add_forwards()
        self._prove(self._masqueraded(), _by_destination, from_router=True)
        self._prove(self._replies(), _by_source, from_router=False)
        self._translate()
        self.undecided -= self.images.keys()

    def _forwarded(self, flow: Flow) -> Flow:
        """The flow with the receiver to which a port of the router is forwarded."""
        if flow.destination not in self.router.addresses:
            return flow
        family = ":" in flow.destination
        for forward in self.router.forwards:
            target = next((a for a in forward.addresses if (":" in a) == family), "")
            if target and (forward.protocol, forward.port) == (flow.protocol, flow.dport):
                return flow._replace(destination=target, dport=forward.to)
        return flow

    def _add_forwards(self) -> None:
        for flow, packets in self._entering.items():
            target = self._forwarded(flow)
            if target != flow and not self._is_masqueraded(packets[0], target):
                self._sessions.add(flow, target, packets[0].at)

    def _is_masqueraded(self, packet: Packet, target: Flow) -> bool:
        """Whether the router replaces the sender: on the way out, or back to the segment it came from."""
        here = self.segment(packet.segment)
        hop = self.router.next_hop(target.destination)
        if hop is None:
            return False
        if hop[0] == here:
            return target != flow_of(packet)
        return here in self.router.nat and hop[0] not in self.router.nat

    def _masqueraded(self) -> dict[Flow, Flow]:
        """The flows that leave with another sender: as they enter, and with the forwarded receiver."""
        targets = {(f.protocol, a, f.to) for f in self.router.forwards for a in f.addresses}
        found = {}
        for flow, packets in self._entering.items():
            target = self._forwarded(flow)
            if self._sessions.leaving(flow, packets[0].at) or target.destination in self.router.addresses:
                continue
            if self._is_masqueraded(packets[0], target) or flow[:3] in targets:
                found[flow] = target
        return found

    def _replies(self) -> dict[Flow, Flow]:
        """The flows to the router itself that may belong to conversations older than the capture."""
        return {
            flow: flow
            for flow, packets in self._entering.items()
            if flow.destination in self.router.addresses
            and self._forwarded(flow) == flow
            and not self._sessions.leaving(flow, packets[0].at)
        }

    def _prove(self, entering: Mapping[Flow, Flow], side: Side, *, from_router: bool) -> None:
        """Finds the flow that enters for each flow that leaves, where only one is possible."""
        leaving = [
            conversation
            for conversation in self._leaving
            if (conversation.flow.source in self.router.addresses) == from_router
            and conversation.flow not in self._entering  # else it isn't translated
        ]
        proof = _Proof(side, {flow: (target, self._entering[flow]) for flow, target in entering.items()})
        for flow, conversation, since in proof.run(leaving):
            self._sessions.add(flow, conversation.flow, since)
        self.undecided |= proof.undecided

    def _translate(self) -> None:
        parts: dict[tuple[str, str, int], Packet] = {}
        for packet in self.near:
            image = self._image(packet, parts)
            if image is not None:
                self.images[id(packet)] = image
            if image is not None and packet.fragment == 0:
                parts[packet.source, packet.destination, packet.ident] = image

    def _image(self, packet: Packet, parts: Mapping[tuple[str, str, int], Packet]) -> Packet | None:
        if packet.about is not None:
            return self._error(packet, packet.about)
        if packet.fragment > 0:
            first = parts.get((packet.source, packet.destination, packet.ident))
            return first and replace(packet, source=first.source, destination=first.destination)
        leaving = self._sessions.leaving(flow_of(packet), packet.at)
        return leaving and _with_flow(packet, leaving)

    def _error(self, packet: Packet, about: Packet) -> Packet | None:
        """An ICMP error about a packet of a translated flow: in both headers the addresses change back."""
        seen = flow_of(about)
        back = self._sessions.leaving(seen.reverse, packet.at)
        if back is None:
            return None
        before = back.reverse  # the flow as it entered
        source = packet.source if seen.destination == before.destination else before.destination
        destination = packet.destination if seen.source == before.source else before.source
        return replace(packet, source=source, destination=destination, about=_with_flow(about, before))


@dataclass(frozen=True)
class _Conversation:
    """The packets of one flow that left; of TCP, those of one connection."""

    flow: Flow
    packets: list[Packet]


@dataclass
class _Proof:
    """The search for the one flow that can have entered for each conversation that left."""

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

    def run(self, leaving: Iterable[_Conversation]) -> list[tuple[Flow, _Conversation, float]]:
        """Each conversation with its only possible origin, and the time since which it is valid."""
        found: list[tuple[Flow, _Conversation, float]] = []
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

    def _origins(self, conversation: _Conversation) -> set[Flow]:
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

    def _use(self, flow: Flow, conversation: _Conversation) -> None:
        """Takes the packets of a proved conversation away: each leaves once."""
        for packet in conversation.packets:
            supply = self._supply.get(self._key(packet, conversation.flow), Counter())
            if supply[flow] > 1:
                supply[flow] -= 1
            else:
                del supply[flow]

    def _since(self, flow: Flow, conversation: _Conversation) -> float:
        first = conversation.packets[0].at + SLACK
        return max((p.at for p in self.entering[flow][1] if p.at <= first), default=first)

    def _leave_undecided(self, conversation: _Conversation) -> None:
        contents = {self._key(packet, conversation.flow) for packet in conversation.packets}
        self.undecided.update(map(id, conversation.packets))
        for flow in self._origins(conversation):
            target, packets = self.entering[flow]
            self.undecided.update(
                id(packet) for packet in packets if (packet.ttl - 1, self.side(packet, target)) in contents
            )


def _flows(packets: Iterable[Packet]) -> dict[Flow, list[Packet]]:
    """The packets by flow, without ICMP errors and later fragments."""
    found: dict[Flow, list[Packet]] = defaultdict(list)
    for packet in packets:
        if packet.about is None and packet.fragment <= 0 and packet.protocol != "other":
            found[flow_of(packet)].append(packet)
    return found


def _conversations(packets: Iterable[Packet]) -> list[_Conversation]:
    """The packets by flow; a SYN with another sequence number begins a new TCP connection."""
    found = []
    for flow, own in _flows(packets).items():
        current = _Conversation(flow, [])
        syn = None
        for packet in own:
            if "S" in packet.flags and syn not in (None, packet.seq):
                found.append(current)
                current = _Conversation(flow, [])
            syn = packet.seq if "S" in packet.flags else syn
            current.packets.append(packet)
        found.append(current)
    return found
