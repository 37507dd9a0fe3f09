"""Checks that prefixes are valid and don't overlap, and that addresses are within them and unique."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Iterable, Iterator
from ipaddress import AddressValueError, IPv4Address, IPv4Network, IPv6Address, IPv6Network, NetmaskValueError

from lab.locale import message
from lab.topology.errors import Mistake, Path, overlapping, shown
from lab.topology.model import Attachment, Host, Router, Segment, Topology
from lab.topology.prefixes import Network, is_usable, overlap

RESERVED = 3  # addresses of an IPv4 prefix: the network's, the bridge's and the broadcast address


def network_mistakes(topology: Topology) -> Iterator[Mistake]:
    """Yields the mistakes in the prefixes and addresses of an expanded topology."""
    found = [*itertools.chain(*map(_prefix_mistakes, _prefixes(topology))), *_without_ipv6(topology)]
    yield from found
    if found:
        return
    yield from _overlaps(topology)
    nodes: tuple[Host | Router, ...] = (*topology.hosts, *topology.routers)
    sizes = Counter(each.segment for node in nodes for each in node.attachments)
    for segment in topology.segments:
        yield from _size_mistakes(segment, sizes[segment.name])
    yield from _address_mistakes(topology)


def _prefixes(topology: Topology) -> Iterator[tuple[Path, str, int]]:
    """Each given prefix: its path, its text and its IP version."""
    for segment in topology.segments:
        for key, text, version in (("prefix", segment.prefix, 4), ("prefix6", segment.prefix6, 6)):
            if text:
                yield ("segments", segment.name, key), text, version
    if topology.mgmt:
        yield ("mgmt",), topology.mgmt, 4


def _prefix_mistakes(given: tuple[Path, str, int]) -> Iterator[Mistake]:
    path, text, version = given
    example = "10.10.1.0/24" if version == 4 else "fd28:66::/64"
    remedy = message("an example is {example}", example=example)
    try:
        network: Network = (
            IPv4Network(text, strict=False) if version == 4 else IPv6Network(text, strict=False)
        )
    except (AddressValueError, NetmaskValueError):
        yield Mistake(
            path, message("{text!r} is not an IPv{version} prefix", text=text, version=version), remedy
        )
        return
    if "/" not in text:
        yield Mistake(path, message("{text!r} has no prefix length", text=text), remedy)
    elif str(network) != text:
        yield Mistake(
            path,
            message("{text!r} is not the prefix of a network", text=text),
            message("write {network}", network=network),
        )
    elif version == 6 and network.prefixlen != 64:
        yield Mistake(path, message("the length of an IPv6 prefix must be /64"), remedy)
    elif version == 4 and not 8 <= network.prefixlen <= 29:
        yield Mistake(path, message("the length of an IPv4 prefix must be /8 to /29"), remedy)
    elif not is_usable(network):
        yield Mistake(path, message("{network} is not a private address range", network=network), remedy)


def _without_ipv6(topology: Topology) -> Iterator[Mistake]:
    for segment in topology.segments:
        if segment.prefix6 and not segment.ipv6:
            yield Mistake(
                ("segments", segment.name, "prefix6"),
                message("the segment has no IPv6"),
                message("remove ipv6 = false or the prefix"),
            )


def _network(text: str) -> Network:
    return IPv6Network(text) if ":" in text else IPv4Network(text)


def _overlaps(topology: Topology) -> Iterator[Mistake]:
    given = [(path, _network(text)) for path, text, _ in _prefixes(topology)]
    for (other_path, other), (path, network) in itertools.combinations(given, 2):
        if overlap(network, other):
            yield overlapping(path, network, other, shown(other_path[:2]))


def _size_mistakes(segment: Segment, nodes: int) -> Iterator[Mistake]:
    if segment.prefix and nodes > IPv4Network(segment.prefix).num_addresses - RESERVED:
        yield Mistake(
            ("segments", segment.name, "prefix"),
            message("{prefix} is too small for its nodes", prefix=segment.prefix),
            message("give it a larger prefix"),
        )


def _address_mistakes(topology: Topology) -> Iterator[Mistake]:
    segments = {segment.name: segment for segment in topology.segments}
    owners: dict[object, Path] = {}
    for path, attachment in _attachments(topology):
        for key, text in (("address", attachment.address), ("address6", attachment.address6)):
            if not text:
                continue
            wrong = list(_wrong_address(path, text, key, segments[attachment.segment]))
            yield from wrong
            if not wrong:
                address = _address(text)
                other = owners.setdefault(address, path)
                if other != path:
                    yield Mistake(
                        path,
                        message(
                            "{address} is already used by {other}", address=address, other=shown(other[:2])
                        ),
                        message("choose another address"),
                    )


def _attachments(topology: Topology) -> Iterator[tuple[Path, Attachment]]:
    for host in topology.hosts:
        yield from ((("hosts", host.name, "address"), each) for each in host.attachments)
    for router in topology.routers:
        yield from ((("routers", router.name, "address"), each) for each in router.attachments)


def _address(text: str) -> IPv4Address | IPv6Address:
    return IPv6Address(text) if ":" in text else IPv4Address(text)


def _wrong_address(path: Path, text: str, key: str, segment: Segment) -> Iterator[Mistake]:
    try:
        address = _address(text)
    except AddressValueError:
        yield Mistake(
            path, message("{text!r} is not an address", text=text), message("an example is 10.10.1.7")
        )
        return
    prefix = segment.prefix if key == "address" else segment.prefix6
    if not prefix:
        yield Mistake(
            path,
            message("the segment of this address has no prefix of its own"),
            message('give one: [segments] {name} = "10.10.1.0/24"', name=segment.name)
            if key == "address"
            else message('give one: [segments.{name}] prefix6 = "fd28:66::/64"', name=segment.name),
        )
        return
    network = _network(prefix)
    if address not in network:
        yield Mistake(
            path,
            message(
                "{address} is not in {network} of the segment {name!r}",
                address=address,
                network=network,
                name=segment.name,
            ),
            message("choose an address in it"),
        )
    elif address in _reserved(network):
        yield Mistake(
            path,
            message("{address} is reserved", address=address),
            message("choose {low} or a higher address", low=network[2]),
        )


def _reserved(network: Network) -> Iterable[object]:
    return (network[0], network[1], network[-1])
