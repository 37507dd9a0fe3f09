"""Assigns a prefix to each network, and addresses to each interface."""

from __future__ import annotations

import itertools
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network

from lab.locale import message
from lab.topology.errors import Mistake, TopologyError, overlapping, suggestion
from lab.topology.model import Attachment, Segment, Topology
from lab.topology.node import Interface
from lab.topology.prefixes import Network, overlap

MGMT = "mgmt"  # the out-of-band network, which every node is on
CHOICES = 255  # free prefixes in each of the two ranges
FIRST_ROUTER = 2  # the bridge has 1
FIRST_HOST = 10


@dataclass(frozen=True)
class PlannedSegment:
    """A segment with its prefixes."""

    name: str
    prefix: IPv4Network
    prefix6: IPv6Network | None = None
    mtu: int = 0  # 0: the usual one

    def networks(self) -> tuple[Network, ...]:
        return (self.prefix,) if self.prefix6 is None else (self.prefix, self.prefix6)


def segments_with_prefixes(
    topology: Topology, taken: Iterable[Network], overrides: Mapping[str, Sequence[Network]], seed: str
) -> tuple[tuple[PlannedSegment, ...], IPv4Network]:
    """The segments of an expanded topology and the prefix of mgmt.

    A prefix is that of ``overrides``, or else the description's, or else a free one: it overlaps none of
    ``taken`` and no other network of the lab. Raises TopologyError if there is no free one.
    """
    described = [*topology.segments, Segment(MGMT, topology.mgmt, ipv6=False)]
    _check_names(overrides, [segment.name for segment in described])
    fixed = {segment.name: _fixed(segment, overrides.get(segment.name, ())) for segment in described}
    _check_overlaps(fixed)
    used = [*taken, *(network for networks in fixed.values() for network in networks.values())]
    planned = []
    for segment in described:
        networks = fixed[segment.name]
        prefix = networks.get(4) or _free(_choices(seed), used, segment)
        used.append(prefix)
        prefix6 = networks.get(6) or _free(_choices6(prefix, seed), used, segment) if segment.ipv6 else None
        used += [prefix6] if prefix6 else []
        assert isinstance(prefix, IPv4Network)
        assert not isinstance(prefix6, IPv4Network)
        planned.append(PlannedSegment(segment.name, prefix, prefix6, segment.mtu))
    *segments, mgmt = planned
    return tuple(segments), mgmt.prefix


def _check_names(overrides: Iterable[str], known: Sequence[str]) -> None:
    for name in overrides:
        if name not in known:
            problem = message("there is no segment {name!r}", name=name)
            raise TopologyError(Mistake(("segments", name), problem, suggestion(name, known)))


def _check_overlaps(fixed: Mapping[str, Mapping[int, Network]]) -> None:
    networks = [(name, network) for name, each in fixed.items() for network in each.values()]
    for (other_name, other), (name, network) in itertools.combinations(networks, 2):
        if overlap(network, other):
            raise TopologyError(overlapping(("segments", name), network, other, other_name))


def _fixed(segment: Segment, overrides: Iterable[Network]) -> dict[int, Network]:
    """The prefixes of a segment that aren't free, by IP version."""
    described = [ip_network(text) for text in (segment.prefix, segment.prefix6) if text]
    return {network.version: network for network in (*described, *overrides)}


def _choices(seed: str) -> Iterator[IPv4Network]:
    for third in _numbers(seed):
        yield IPv4Network(f"172.28.{third}.0/24")
    for third in _numbers(seed):
        yield IPv4Network(f"10.28.{third}.0/24")


def _choices6(prefix: Network, seed: str) -> Iterator[IPv6Network]:
    """IPv6 prefixes. The first has the third number of the IPv4 prefix: fd28:66::/64 for 172.28.66.0/24."""
    third = prefix.network_address.packed[2]
    for digits in (third or 1, *_numbers(seed), *range(CHOICES + 1, 2 * CHOICES)):
        yield IPv6Network(f"fd28:{digits}::/64")


def _numbers(seed: str) -> Iterator[int]:
    """1 to 255. They begin at a number that depends on ``seed``, so that two labs choose differently."""
    start = zlib.crc32(seed.encode())
    return (1 + (start + step) % CHOICES for step in range(CHOICES))


def _free(choices: Iterable[Network], used: Sequence[Network], segment: Segment) -> Network:
    for choice in choices:
        if not any(overlap(choice, network) for network in used):
            return choice
    raise TopologyError(
        Mistake(
            ("segments", segment.name),
            message("there is no free prefix left for it"),
            message("remove unused networks with `docker network prune`, or give it a prefix"),
        )
    )


class AddressBook:
    """The addresses on one segment. ``described`` is the segment as its author described it."""

    def __init__(self, planned: PlannedSegment, described: Segment) -> None:
        self._segment, self._described = planned, described
        self._interfaces: dict[str, Interface] = {}
        self._used: set[int] = set()
        self._used6: set[int] = {0, 1}

    def assign(
        self, routers: Mapping[str, Attachment], hosts: Mapping[str, Attachment]
    ) -> dict[str, Interface]:
        """The interface of each node, by its name. Raises TopologyError if the prefix is too small.

        Given addresses are reserved first. Routers get the lowest free ones; those of hosts follow.
        """
        for attachment in (*routers.values(), *hosts.values()):
            self._reserve(attachment)
        size = self._segment.prefix.num_addresses
        low, high = range(FIRST_ROUTER, FIRST_HOST), range(FIRST_HOST, size - 1)
        numbers = self._free(itertools.chain(low, high))
        interfaces = {name: self._interface(each, numbers) for name, each in routers.items()}
        numbers = self._free(itertools.chain(high, low))
        return interfaces | {name: self._interface(each, numbers) for name, each in hosts.items()}

    def _reserve(self, attachment: Attachment) -> None:
        if attachment.address:
            self._used.add(self._number(attachment.address))
        if attachment.address6:
            self._used6.add(_host_part(attachment.address6, self._described.prefix6))

    def _number(self, address: str) -> int:
        number = _host_part(address, self._described.prefix)
        if number >= self._segment.prefix.num_addresses - 1:
            raise self._too_small()
        return number

    def _too_small(self) -> TopologyError:
        problem = message("{prefix} is too small for its nodes", prefix=self._segment.prefix)
        remedy = message("give it a larger prefix")
        return TopologyError(Mistake(("segments", self._segment.name), problem, remedy))

    def _free(self, numbers: Iterable[int]) -> Iterator[int]:
        last = self._segment.prefix.num_addresses - 1
        return (number for number in numbers if number < last and number not in self._used)

    def _interface(self, attachment: Attachment, numbers: Iterator[int]) -> Interface:
        number = self._number(attachment.address) if attachment.address else self._next(numbers)
        prefix = self._segment.prefix
        address = f"{prefix[number]}/{prefix.prefixlen}"
        return Interface(self._segment.name, address, self._address6(attachment, number))

    def _next(self, numbers: Iterator[int]) -> int:
        number = next(numbers, None)
        if number is None:
            raise self._too_small()
        self._used.add(number)
        return number

    def _address6(self, attachment: Attachment, number: int) -> str:
        """The given IPv6 address, or one that has the digits of the IPv4 host number."""
        prefix = self._segment.prefix6
        if prefix is None:
            return ""
        if attachment.address6:
            number6 = _host_part(attachment.address6, self._described.prefix6)
        else:
            wanted = itertools.count(int(str(number), base=16))
            number6 = next(each for each in wanted if each not in self._used6)
            self._used6.add(number6)
        return f"{prefix[number6]}/{prefix.prefixlen}"


def _host_part(address: str, prefix: str) -> int:
    """The number of ``address`` within the described prefix. It stays if the segment gets another prefix."""
    return int(ip_address(address)) - int(ip_network(prefix).network_address)
