"""Checks, compares and chooses the prefixes of a lab's networks, so that two labs don't overlap. No I/O.

A prefix is the first three numbers of an IPv4 /24 ("172.28.66") or the first groups of an IPv6 /64
("fd28:66").
"""

from __future__ import annotations

import ipaddress
import itertools
import zlib
from collections.abc import Iterable, Mapping
from typing import TypeAlias

from lab.locale import message

Network: TypeAlias = ipaddress.IPv4Network | ipaddress.IPv6Network
Prefixes: TypeAlias = Mapping[str, str]  # by name of the network

CHOICES = 99  # the number of labs that can run side by side
EXAMPLE, EXAMPLE6 = "172.28.66", "fd28:66"
PRIVATE = tuple(
    map(
        ipaddress.ip_network,
        # RFC 1918, RFC 6598, RFC 2544, RFC 5737; RFC 4193, RFC 3849
        "10.0.0.0/8 172.16.0.0/12 192.168.0.0/16 100.64.0.0/10 198.18.0.0/15 192.0.2.0/24 198.51.100.0/24"
        " 203.0.113.0/24 fc00::/7 2001:db8::/32".split(),
    )
)


class PrefixError(ValueError):
    """A prefix that a lab can't use. The message names it."""


def network(prefix: str) -> Network:
    """The network with this prefix. Raises PrefixError unless it is one, in a private address range."""
    text, example = (f"{prefix}::/64", EXAMPLE6) if is_ipv6(prefix) else (f"{prefix}.0/24", EXAMPLE)
    try:
        found = ipaddress.ip_network(text)
    except ValueError:
        raise PrefixError(
            message("{prefix!r} is not a prefix; an example is {example}", prefix=prefix, example=example)
        ) from None
    if not is_usable(found):
        raise PrefixError(
            message(
                "{prefix} is a public address range; use a private one, such as {example}",
                prefix=prefix,
                example=example,
            )
        )
    return found


def is_usable(network: Network) -> bool:
    """True if a lab may use this network: it belongs to nobody on the Internet."""
    return any(
        private.prefixlen <= network.prefixlen and network.network_address in private
        for private in PRIVATE
        if private.version == network.version
    )


def prefix_of(network: Network) -> str:
    """The prefix of a network."""
    address = str(network.network_address)
    return address.removesuffix("::") if network.version == 6 else address.rpartition(".")[0]


def variable(network: str, *, ipv6: bool = False) -> str:
    """The environment variable of a network's prefix."""
    return f"LAB_{network.upper().replace('-', '_')}_PREFIX{'6' * ipv6}"


def is_ipv6(prefix: str) -> bool:
    return ":" in prefix


def overlap(one: Network, other: Network) -> bool:
    """True if the two networks have an address in common."""
    return one.version == other.version and one.overlaps(other)


def disjoint(prefixes: Iterable[str]) -> list[Network]:
    """The networks with these prefixes. Raises PrefixError if one is invalid, or if two overlap."""
    networks = [network(prefix) for prefix in prefixes]
    for one, other in itertools.combinations(networks, 2):
        if overlap(one, other):
            raise PrefixError(message("two networks have the prefix of {network}", network=one))
    return networks


def choose(
    defaults: Prefixes, defaults6: Prefixes, taken: Iterable[Network], seed: str
) -> tuple[dict[str, str], dict[str, str]] | None:
    """Prefixes close to the defaults that overlap no network in ``taken``; None if there are none.

    The search starts at a point that depends on ``seed``: two labs that start at the same time choose
    different prefixes.
    """
    taken, start = list(taken), zlib.crc32(seed.encode())
    for step in range(CHOICES):
        distance = 1 + (start + step) % CHOICES
        chosen, chosen6 = _shifted(defaults, distance), _shifted(defaults6, distance)
        if _fit([*chosen.values(), *chosen6.values()], taken):
            return chosen, chosen6
    return None


def _fit(prefixes: Iterable[str], taken: list[Network]) -> bool:
    try:
        return not any(overlap(mine, other) for mine in disjoint(prefixes) for other in taken)
    except PrefixError:
        return False


def _shifted(prefixes: Prefixes, distance: int) -> dict[str, str]:
    """Each prefix with its last part increased by ``distance``, or decreased if it would be too high."""
    return {name: _shift(prefix, distance) for name, prefix in prefixes.items()}


def _shift(prefix: str, distance: int) -> str:
    separator, base, highest = (":", 16, 0xFFFF) if is_ipv6(prefix) else (".", 10, 255)
    head, _, last = prefix.rpartition(separator)
    number = int(last, base)
    moved = number + distance if number + distance <= highest else number - distance
    return f"{head}{separator}{moved:x}" if is_ipv6(prefix) else f"{head}{separator}{moved}"


def parse(words: Iterable[str]) -> tuple[dict[str, str], dict[str, str]]:
    """Parses words of the form NETWORK=PREFIX into IPv4 and IPv6 prefixes by network. Raises PrefixError."""
    found: tuple[dict[str, str], dict[str, str]] = ({}, {})
    for word in words:
        name, _, prefix = word.partition("=")
        if not name or not prefix:
            raise PrefixError(message("{word!r} is not NETWORK=PREFIX", word=word))
        found[is_ipv6(prefix)][name] = prefix
    return found
