"""``lab.partition``: routers drop all packets between hosts of different sets."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from itertools import combinations, product
from typing import Any, Literal, TypeAlias

from lab.control.host import Host, titles
from lab.control.link.paths import Crossing, Way, ways
from lab.control.link.router_session import RouterSession
from lab.errors import LabError, Unsupported, UsageError
from lab.evidence.events import FaultChanged
from lab.link import PROBE_PORT
from lab.link.errors import ImpairmentError
from lab.link.partition import Partition as Settings
from lab.locale import message

VERIFY_TIMEOUT = 2.0  # seconds for the probes to reach a router
SHOW_INTERVAL = 0.05  # seconds

Sets: TypeAlias = Sequence[Sequence[Host]]
Cut: TypeAlias = tuple[int, int]  # the positions of the sets of the sender and the receiver


@dataclass
class Partition:
    """A partition between sets of hosts, in force until its context ends."""

    sets: Sets
    settings: Settings  # the addresses of its hosts
    routers: list[RouterSession]  # that drop packets
    began: float = 0.0
    ended: float | None = None
    _ids: dict[str, str] = field(default_factory=dict)  # of the partition on each router, by its title
    _counted: dict[str, Counter[Cut]] = field(default_factory=dict)  # the last counters, by router
    _probes: Counter[Cut] = field(default_factory=Counter)

    @property
    def title(self) -> str:
        """ "alice, bob | carol"; with one way "alice, bob → carol"."""
        return self.settings.describe(titles(host for members in self.sets for host in members))

    @property
    def dropped(self) -> int:
        """The number of packets that it has dropped so far, without those that verified it."""
        if self.ended is None:
            for router in self.routers:
                router.show()
        return self._dropped().total()

    def to_dict(self) -> dict[str, Any]:
        """The partition for the record."""
        dropped = self._dropped()
        return {
            "at": self.began,
            "until": self.ended,
            "sets": [[host.title for host in members] for members in self.sets],
            "one_way": self.settings.one_way,
            "routers": [router.title for router in self.routers],
            "dropped": [{"from": a, "to": b, "packets": dropped[a, b]} for a, b in self.settings.cuts],
        }

    def begin(self) -> None:
        self.began = time.time()
        self._tell("begin")
        for router in self.routers:
            router.partition_effects.append(self._keep_counters)
            self._ids[router.title] = router.partition(self.settings)

    def end(self) -> None:
        """Heals it. Raises LinkFailure if somebody else had changed it."""
        self._tell("end")
        with ExitStack() as stack:  # each router, even if an earlier one fails
            for router in self.routers:
                if name := self._ids.get(router.title):
                    stack.callback(router.heal, name)
        self.ended = time.time()

    def verify(self, probes: Counter[Cut]) -> None:
        """Waits until the routers have dropped these ``probes``. Raises LinkFailure."""
        self._probes = probes
        deadline = time.monotonic() + VERIFY_TIMEOUT
        while True:
            for router in self.routers:
                router.show()
            missing = [cut for cut, sent in probes.items() if self._seen()[cut] < sent]
            if not missing:
                return
            if time.monotonic() > deadline:
                source, target = (self.sets[number][0].title for number in missing[0])
                raise self.routers[0].failed(f"the partition doesn't hold from {source} to {target}")
            time.sleep(SHOW_INTERVAL)

    def _seen(self) -> Counter[Cut]:
        return sum(self._counted.values(), Counter[Cut]())

    def _dropped(self) -> Counter[Cut]:
        return self._seen() - self._probes

    def _keep_counters(self, router: str, partitions: dict[str, dict[str, Any]]) -> None:
        """Keeps the counters of a router's answer."""
        if state := partitions.get(self._ids.get(router, "")):
            self._counted[router] = Counter({(a, b): count for a, b, count in state["dropped"]})

    def _tell(self, edge: Literal["begin", "end"]) -> None:
        router = self.routers[0]
        router.observe(FaultChanged(time.time(), router.title, f"partition: {self.title}", edge))


@contextmanager
def partitioned(partition: Partition, hosts: Sequence[Host], *, verify: bool) -> Iterator[Partition]:
    """The partition is in force while the context lasts."""
    try:
        partition.begin()
        if verify:
            partition.verify(_send_probes(partition, hosts))
        yield partition
    finally:
        partition.end()


def planned(
    sets: Sets, hosts: Sequence[Host], routers: Sequence[RouterSession], *, one_way: bool
) -> Partition:
    """The partition, with the routers that can drop its packets.

    Raises UsageError if two hosts of different sets share a segment, and Unsupported if no router sees the
    addresses of both ends of a packet.
    """
    _check_hosts(sets)
    asked = _settings(sets, one_way)
    crossed = [
        crossing
        for first, second in combinations(sets, 2)
        for a, b in product(first, second)
        for crossing in _crossings(hosts, a, b)
    ]
    dropping = [router for router in routers if any(c.router == router.router.node for c in crossed)]
    if not dropping:
        raise Unsupported(message("no router is between these hosts"))
    return Partition(sets, asked, dropping)


def _settings(sets: Sets, one_way: bool) -> Settings:
    """The addresses of the hosts. Raises UsageError."""
    addresses = (
        tuple(a for host in members for a in (*host.node.addresses, *host.node.addresses6))
        for members in sets
    )
    try:
        return Settings(tuple(addresses), one_way)
    except ImpairmentError as error:
        raise UsageError(f"partition: {error}") from None


def _check_hosts(sets: Sets) -> None:
    every = [host for members in sets for host in members]
    for host in every:
        if host.node.role != "host":
            raise UsageError(message("partition: {name} is not a host", name=host.title))
        if every.count(host) > 1:
            raise UsageError(message("partition: {name} is listed twice", name=host.title))
    for first, second in combinations(sets, 2):
        for a, b in product(first, second):
            if shared := set(a.node.segments) & set(b.node.segments):
                raise UsageError(
                    message(
                        "partition: {first} and {second} are both on the segment {segment}: no router is"
                        " between them",
                        first=a.title,
                        second=b.title,
                        segment=min(shared),
                    )
                )


def _crossings(hosts: Sequence[Host], a: Host, b: Host) -> Iterator[Crossing]:
    """The crossings of packets between two hosts at which the router sees the addresses of both.

    Raises Unsupported if there are packets between them of which no router does.
    """
    for source, target in ((a, b), (b, a)):
        for way in _ways(hosts, source, target):
            seen = [c for c in way.crossings if _is_between(c, source, target)]
            if not seen:
                raise Unsupported(
                    message(
                        "partition: no router sees the addresses of both {first} and {second}: they are"
                        " translated",
                        first=source.title,
                        second=target.title,
                    )
                )
            yield from seen


def _is_between(crossing: Crossing, source: Host, target: Host) -> bool:
    return crossing.source in source.node.addresses and crossing.target in target.node.addresses


def _ways(hosts: Sequence[Host], source: Host, target: Host) -> Iterator[Way]:
    return ways([host.node for host in hosts], source.node, target.node)


def _send_probes(partition: Partition, hosts: Sequence[Host]) -> Counter[Cut]:
    """Sends a datagram from each host to each one that it must not reach. Returns their number by cut.

    A host that is off or paused sends none. There are none for IPv6, which a scenario may have broken: that
    the rules for it are there is checked with every answer of the router.
    """
    with ThreadPoolExecutor(max_workers=16) as pool:
        jobs = [
            (
                (a, b),
                pool.submit(
                    _send, source, [w.target for t in partition.sets[b] for w in _plain(hosts, source, t)]
                ),
            )
            for a, b in partition.settings.cuts
            for source in partition.sets[a]
        ]
    sent = Counter[Cut]()
    for cut, job in jobs:
        sent[cut] += job.result()
    return sent


def _plain(hosts: Sequence[Host], source: Host, target: Host) -> list[Way]:
    """The ways to the target's own addresses, without port forwarding."""
    return [way for way in _ways(hosts, source, target) if way.target in target.node.addresses]


def _send(host: Host, addresses: Sequence[str]) -> int:
    """Sends a datagram to each address. Returns how many were sent."""
    if not addresses:
        return 0
    one = f"(echo >/dev/udp/$a/{PROBE_PORT}) 2>/dev/null && n=$((n+1))"
    try:
        loop = f"n=0; for a in {' '.join(addresses)}; do {one}; done; echo $n"
        return int(host.ask(loop, timeout=VERIFY_TIMEOUT).stdout)
    except (LabError, ValueError):
        return 0
