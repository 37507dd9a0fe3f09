"""Rules about lost datagrams. UDP doesn't report a loss to the program."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator

from lab.evidence.diagnosis.model import Evidence, Finding, listed
from lab.evidence.diagnosis.phrases import datagram_count, next_node, router_name
from lab.evidence.diagnosis.routing import no_mapping, why_not_routed
from lab.evidence.events import CounterChanged
from lab.evidence.packets.datagrams import Datagram
from lab.locale import Message, message, messages


def unreachable(evidence: Evidence) -> Iterator[Finding]:
    """Datagrams were answered with an ICMP error, which an unconnected socket doesn't report."""
    groups: dict[tuple[str, str, int, str], list[Datagram]] = defaultdict(list)
    for datagram in evidence.traffic.datagrams():
        if datagram.unreachable:
            groups[datagram.sender, datagram.receiver, datagram.port, datagram.unreachable].append(datagram)
    for (sender, receiver, port, error), group in groups.items():
        sentence = message(
            "{sender} sent {datagrams} to {receiver}:{port} and ICMP “{error}” came back: {why}. Only a "
            "connected UDP socket reports this error.",
            sender=sender,
            datagrams=datagram_count(len(group)),
            receiver=receiver,
            port=port,
            error=error.removeprefix("ICMP "),
            why=_why_unreachable(evidence, group[0]),
        )
        yield Finding(sentence, group[0].sent_at, _subject(receiver, port), ("udp-refused",))


def _why_unreachable(evidence: Evidence, datagram: Datagram) -> Message:
    router, error = datagram.unreachable_from, datagram.icmp_error
    if datagram.port_unreachable:
        if why := no_mapping(evidence, "udp", datagram.destination):
            return why
        return message(
            "nothing listens on UDP port {port} of {receiver}",
            port=datagram.server_port,
            receiver=datagram.receiver,
        )
    why = why_not_routed(evidence, error, router, datagram.receiver)
    return why or message("{router} couldn't forward it", router=router)


def overrun(evidence: Evidence) -> Iterator[Finding]:
    """A receive buffer was full when datagrams arrived."""
    dropped: Counter[str] = Counter()
    last: dict[str, float] = {}
    for event in evidence.events:
        if isinstance(event, CounterChanged) and event.name.endswith(".RcvbufErrors"):
            dropped[event.node] += event.change
            last[event.node] = event.at
    for node, count in dropped.items():
        sentence = message(
            "{node} dropped {datagrams}, because the receive buffer was full (the counter RcvbufErrors "
            "increased). UDP doesn't report the loss.",
            node=node,
            datagrams=datagram_count(count),
        )
        yield Finding(sentence, last[node], frozenset({f"overrun {node}"}), ("udp-overrun",))


def lost(evidence: Evidence) -> Iterator[Finding]:
    """Datagrams entered a router and didn't leave it, or were lost between two routers."""
    groups: dict[tuple[str, str, int], list[Datagram]] = defaultdict(list)
    for datagram in evidence.traffic.datagrams():
        groups[datagram.sender, datagram.receiver, datagram.port].append(datagram)
    for (sender, receiver, port), group in groups.items():
        missing = [datagram for datagram in group if datagram.lost]
        if not missing or any(datagram.unreachable for datagram in missing):
            continue
        partial = [datagram for datagram in missing if datagram.fragments > datagram.fragments_lost]
        sentence = message(
            "{sender} sent {datagrams} to {receiver}:{port}, of which {lost} {place}{fragments}. UDP doesn't "
            "report the loss.",
            sender=sender,
            datagrams=datagram_count(len(group)),
            receiver=receiver,
            port=port,
            lost=len(missing),
            place=_places(evidence, missing),
            fragments=_fragments(len(partial)),
        )
        see_also = ("udp-mtu",) if partial else ("udp-reliable",)
        yield Finding(sentence, missing[0].sent_at, _subject(receiver, port), see_also)


def _places(evidence: Evidence, missing: list[Datagram]) -> Message:
    """The place in which datagrams were lost, or the number of each place."""
    places = Counter((datagram.lost_at, datagram.lost_on) for datagram in missing)
    if len(places) > 1:
        counts = (f"{router or segment}: {count}" for (router, segment), count in places.items())
        return message("were lost on the way ({counts})", counts=listed(counts))
    (((router, segment), _),) = places.items()
    if segment:
        node = next_node(evidence, missing[0].receiver, segment)
        return message("never reached {node} on the segment {segment}", node=node, segment=segment)
    return message("entered {router} and never left it", router=router_name(evidence, router))


def _fragments(count: int) -> Message | str:
    """A note on datagrams that lost only some of their fragments."""
    if not count:
        return ""
    return messages(
        " ({count} lost only some of its fragments, but then the receiver discards the rest)",
        " ({count} lost only some of their fragments, but then the receiver discards the rest)",
        count=count,
    )


def _subject(receiver: str, port: int) -> frozenset[str]:
    return frozenset({f"udp {receiver}:{port}"})
