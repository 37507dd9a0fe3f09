"""Parses, checks and compares the prefixes of a lab's networks. No I/O.

A prefix is the first three numbers of an IPv4 /24 ("172.28.66") or the first groups of an IPv6 /64
("fd28:66").
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable
from typing import TypeAlias

from lab.locale import message

Network: TypeAlias = ipaddress.IPv4Network | ipaddress.IPv6Network

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


def parse(words: Iterable[str]) -> list[tuple[str, Network]]:
    """Parses words of the form NETWORK=PREFIX: the name and the network of each. Raises PrefixError."""
    found = []
    for word in words:
        name, _, prefix = word.partition("=")
        if not name or not prefix:
            raise PrefixError(message("{word!r} is not NETWORK=PREFIX", word=word))
        found.append((name, network(prefix)))
    return found
