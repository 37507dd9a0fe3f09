"""The prefixes of a lab's networks: given by the user, of a lab that is up, or to be chosen. No I/O."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from ipaddress import IPv4Network, ip_network
from typing import TypeAlias

from lab.errors import UsageError
from lab.locale import message
from lab.topology.model import Attachment, Host, Router, Segment, Topology
from lab.topology.plan import Plan
from lab.topology.prefixes import Network, PrefixError, parse, prefix_of, variable

Prefixes: TypeAlias = Mapping[str, tuple[Network, ...]]  # by segment, or MGMT; at most one of each IP version

MGMT = "mgmt"
SIZE = 24  # bits of a free IPv4 prefix


def freed(topology: Topology) -> Topology:
    """The topology without prefixes and addresses. A segment that is larger than a free prefix keeps them."""
    kept = {segment.name for segment in topology.segments if _is_large(segment)}

    def attachments(node: Host | Router) -> tuple[Attachment, ...]:
        return tuple(each if each.segment in kept else Attachment(each.segment) for each in node.attachments)

    return replace(
        topology,
        segments=tuple(s if s.name in kept else replace(s, prefix="", prefix6="") for s in topology.segments),
        hosts=tuple(replace(host, attachments=attachments(host)) for host in topology.hosts),
        routers=tuple(replace(router, attachments=attachments(router)) for router in topology.routers),
        mgmt="",
    )


def _is_large(segment: Segment) -> bool:
    return bool(segment.prefix) and IPv4Network(segment.prefix).prefixlen < SIZE


def of_plan(plan: Plan) -> Prefixes:
    """All prefixes of a plan."""
    return {**{segment.name: segment.networks() for segment in plan.segments}, MGMT: (plan.mgmt,)}


def merged(prefixes: Prefixes, others: Prefixes) -> Prefixes:
    """``prefixes``, replaced by those of ``others`` of the same network and IP version."""
    names = dict.fromkeys([*prefixes, *others])
    return {
        name: tuple(
            {each.version: each for each in (*prefixes.get(name, ()), *others.get(name, ()))}.values()
        )
        for name in names
    }


def given(words: Iterable[str], known: Prefixes) -> Prefixes:
    """The prefixes in words of the form NETWORK=PREFIX, for the lab's networks. Raises UsageError."""
    try:
        prefixes = parse(words)
    except PrefixError as error:
        raise UsageError(*error.args) from None
    for name, prefix in prefixes:
        if prefix.version not in {each.version for each in known.get(name, ())}:
            raise UsageError(
                message(
                    "no network {name!r} with such a prefix; there are {known}",
                    name=name,
                    known=", ".join(
                        n for n, nets in known.items() if prefix.version in {e.version for e in nets}
                    ),
                )
            )
    found: Prefixes = {}
    for name, prefix in prefixes:
        found = merged(found, {name: (prefix,)})
    return found


def from_environment(known: Prefixes, environ: Mapping[str, str]) -> Prefixes:
    """The prefixes that environment variables give to the known networks. Raises UsageError."""
    words = [
        f"{name}={value}"
        for name, networks in known.items()
        for each in networks
        if (value := environ.get(variable(name, ipv6=each.version == 6)))
    ]
    return given(words, known)


def variables(prefixes: Prefixes) -> dict[str, str]:
    """The prefixes as the environment variables of docker-compose.yml; those of another size are left out."""
    return {
        variable(name, ipv6=each.version == 6): prefix_of(each)
        for name, networks in prefixes.items()
        for each in networks
        if each == _of_usual_size(each)
    }


def _of_usual_size(prefix: Network) -> Network:
    return ip_network((prefix.network_address, 64 if prefix.version == 6 else SIZE))
