"""Selects the two hosts that measure a link, and their addresses for each other. No I/O."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import permutations

from lab.control.host import Host
from lab.control.link.paths import Crossing, ways
from lab.control.link.settings_session import LinkSession
from lab.errors import Unsupported
from lab.link.partition import Partition
from lab.link.settings import TO
from lab.locale import Message, message


@dataclass(frozen=True)
class Probing:
    """Two hosts whose packets to each other cross a link.

    ``first`` sends its probes to ``target``, and they cross the link in the direction ``out``; ``second``
    sends them to ``source``, and they cross it in the direction ``back``. If a router on the way translates
    the address of ``first``, only answers reach it: the second host can't send before it has.
    """

    first: Host
    second: Host
    out: str
    back: str
    target: str
    source: str
    translated: bool = False


@dataclass(frozen=True)
class _Candidate:
    probing: Probing
    crossings: tuple[Crossing, ...]  # of the way out, and of the way back


def hosts_of_link(hosts: Sequence[Host], session: LinkSession, sessions: Sequence[LinkSession]) -> Probing:
    """The hosts nearest to the link whose packets cross it in both directions.

    Raises Unsupported if there are none, or if something else on their way affects their packets: then the
    result would not be that of this link.
    """
    reasons = []
    for candidate in sorted(_candidates(hosts, session), key=partial(_rank, session.directions)):
        obstacle = _obstacle(candidate, session, sessions)
        if obstacle is None:
            return candidate.probing
        reasons.append(obstacle)
    name = "–".join(session.pair)
    reason = reasons[0] if reasons else message("no two hosts send packets across it")
    raise Unsupported(message("the link {name} can't be measured: {reason}", name=name, reason=reason))


def _candidates(hosts: Sequence[Host], session: LinkSession) -> Iterator[_Candidate]:
    nodes = [host.node for host in hosts]
    router = session.router.router.node
    for first, second in permutations([host for host in hosts if host.node.role == "host"], 2):
        for coming, leaving in (session.pair[::-1], session.pair):
            for way in ways(nodes, first.node, second.node):
                if not way.crosses(router, coming, leaving) or way.target not in second.node.addresses:
                    continue
                probing = Probing(first, second, TO + leaving, TO + coming, way.target, way.source)
                if way.source not in first.node.addresses:
                    yield _Candidate(replace(probing, translated=True), way.crossings)
                    continue
                for back in ways(nodes, second.node, first.node):
                    if back.target == way.source and back.crosses(router, leaving, coming):
                        yield _Candidate(probing, (*way.crossings, *back.crossings))


def _rank(directions: Sequence[str], candidate: _Candidate) -> tuple[bool, int, int]:
    """Without translation first, then the nearest; the first direction first."""
    probing = candidate.probing
    return probing.translated, len(candidate.crossings), directions.index(probing.out)


def _obstacle(candidate: _Candidate, session: LinkSession, sessions: Sequence[LinkSession]) -> Message | None:
    """The reason why the packets of these hosts would not show the settings of this link alone."""
    ends = {"first": candidate.probing.first.title, "second": candidate.probing.second.title}
    for crossing in candidate.crossings:
        there = [other for other in sessions if other.router.router.node == crossing.router]
        if there and any(
            partition.drops(crossing.source, crossing.target) for partition in _partitions(there[0])
        ):
            return message("a partition separates {first} and {second}", **ends)
        for other in there:
            if other is not session and {*other.pair} == crossing.segments and not other.settings.is_nothing:
                return message(
                    "packets between {first} and {second} also cross the link {link}, which has settings",
                    **ends,
                    link="–".join(other.pair),
                )
    return None


def _partitions(session: LinkSession) -> list[Partition]:
    """The partitions in force on the link's router."""
    states = session.router.current().partitions.values()
    return [Partition.from_json(state["partition"]) for state in states]
