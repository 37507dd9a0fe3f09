"""Finds the address translation of a router from its captures.

The router replaces the sender's address and port (masquerading), or the receiver's (port forwarding). Port
forwarding is in the plan. A masqueraded flow is found by its packets, whose other fields stay the same, and
only if no other flow can be its origin: otherwise its packets are undecided.
"""

from __future__ import annotations

from bisect import bisect_right, insort
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from lab.evidence.packets.packet import Packet
from lab.evidence.packets.routes.matching import SLACK
from lab.evidence.packets.routes.nodes import NetworkNode
from lab.evidence.packets.routes.origins import (
    Flow,
    Origins,
    Side,
    by_destination,
    by_source,
    conversations,
    flow_of,
    flows_in,
)


def _with_flow(packet: Packet, flow: Flow) -> Packet:
    """The packet with the addresses and ports of a flow."""
    if packet.echo[0] >= 0:
        echo = (flow.sport or flow.dport, packet.echo[1])
        return replace(packet, source=flow.source, destination=flow.destination, echo=echo)
    return replace(
        packet, source=flow.source, sport=flow.sport, destination=flow.destination, dport=flow.dport
    )


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


@dataclass
class Translation:
    """The translation of one router. ``near`` are packets that it received, ``far`` all that it sent."""

    router: NetworkNode
    near: Sequence[Packet]
    far: Sequence[Packet]
    segment: Callable[[str], str]  # of a capture
    images: dict[int, Packet] = field(default_factory=dict)  # the translated packet, by id() of the original
    undecided: set[int] = field(default_factory=set)  # ids of packets whose translation can't be proved
    _sessions: _Sessions = field(default_factory=_Sessions)

    def __post_init__(self) -> None:
        self._entering = flows_in(self.near)
        self._leaving = conversations(self.far)
        self._add_forwards()
        self._prove(self._masqueraded(), by_destination, from_router=True)
        self._prove(self._replies(), by_source, from_router=False)
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
        """Finds the flow that enters for each flow that leaves, if only one is possible."""
        leaving = [
            conversation
            for conversation in self._leaving
            if (conversation.flow.source in self.router.addresses) == from_router
            and conversation.flow not in self._entering  # otherwise it isn't translated
        ]
        proof = Origins(side, {flow: (target, self._entering[flow]) for flow, target in entering.items()})
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
