"""The network of this node: recorded, compared and restored. Runs as root."""

from __future__ import annotations

import ipaddress
import json
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TypeAlias

from lab.agent.reset.findings import Finding, finding
from lab.sockets.netlink import rtnetlink
from lab.sockets.netlink.messages import attributes, text
from lab.sockets.netlink.rtnetlink import ADDRESS, KINDS, LINK, QDISC, ROUTES, RULE, Key, Kind, RouteSocket
from lab.sockets.netlink.tcp_metrics import TcpMetrics

Saved: TypeAlias = Mapping[str, Sequence[str]]  # by kind: the dumped messages, in hexadecimal

TOPOLOGY = Path("/usr/lib/socketlab/topology.json")
SETTLE_TIMEOUT = 0.5  # seconds: one change causes others, and the kernel makes some of them later
PAUSE = 0.002  # seconds between two comparisons
CABLE_TIMEOUT = 5.0  # seconds until a link that was down carries packets again
REACHABLE = 0x02  # NUD_REACHABLE
TENTATIVE = 0x40  # IFA_F_TENTATIVE: duplicate address detection isn't over


def save() -> dict[str, list[str]]:
    with RouteSocket() as kernel:
        return {kind.name: [body.hex() for body in kernel.all(kind)] for kind in KINDS}


def has_neighbours() -> bool:
    """True if this node has sent or received a packet to or from a single host, beyond loopback, since the
    last reset: the kernel must then have learnt a neighbour.
    """
    with RouteSocket() as kernel:
        return bool(kernel.neighbours())


def reset(saved: Saved) -> list[Finding]:
    """Restores links, addresses, routes, rules and qdiscs, and removes the state learnt from traffic."""
    with RouteSocket() as kernel:
        known = {kind: _by_key(kind, [bytes.fromhex(each) for each in saved[kind.name]]) for kind in KINDS}
        differences: dict[Kind, list[str]] = {}
        plugged = [each for kind in KINDS for each in _restored(kernel, kind, known[kind], differences)]
        until, left = time.monotonic() + SETTLE_TIMEOUT, differences
        while left:
            left = {}
            for kind in KINDS:
                plugged += _restored(kernel, kind, known[kind], left)
            if left and time.monotonic() > until:
                return _findings(left, undone=False)
            time.sleep(PAUSE if left else 0)
        if plugged:
            _wait_for_carrier(kernel, plugged)
        return _findings(differences) + _forget(kernel)


def _findings(differences: Mapping[Kind, Sequence[str]], *, undone: bool = True) -> list[Finding]:
    return [each for kind, names in differences.items() for each in finding(kind.name, names, undone=undone)]


def _by_key(kind: Kind, bodies: Sequence[bytes]) -> dict[Key, bytes]:
    return {kind.key(body): body for body in bodies}


def _restored(
    kernel: RouteSocket, kind: Kind, known: Mapping[Key, bytes], differences: dict[Kind, list[str]]
) -> list[int]:
    """Restores the objects of one kind. Returns the indexes of the links that were down."""
    bodies = kernel.all(kind)
    now = _by_key(kind, bodies)
    extra, missing = now.keys() - known.keys(), known.keys() - now.keys()
    if kind is ADDRESS:
        tentative = {kind.key(body) for body in bodies if _is_tentative(body)} & known.keys()
        extra, missing = extra | tentative, missing | tentative
    if not (extra or missing):
        return []
    named = {_name(kind, now[key]) for key in extra} | {_name(kind, known[key]) for key in missing}
    differences[kind] = sorted(named)
    if kind is LINK:
        return _restore_links(kernel, [now[key] for key in extra], [known[key] for key in missing])
    for key in sorted(extra, key=repr):
        with suppress(OSError):
            kernel.delete(kind, now[key])
    for key in sorted(missing, key=lambda key: _order(known[key])):
        with suppress(OSError):
            if kind is not QDISC or not rtnetlink.is_default(known[key]):  # the kernel adds that itself
                kernel.add(kind, known[key])
    return []


def _restore_links(kernel: RouteSocket, extra: Sequence[bytes], missing: Sequence[bytes]) -> list[int]:
    wanted = {rtnetlink.link_index(body): body for body in missing}
    down = []
    for body in extra:
        index = rtnetlink.link_index(body)
        with suppress(OSError):
            if index not in wanted:
                kernel.delete(LINK, body)
                continue
            flags = rtnetlink.link_flags(wanted[index])
            kernel.set_link(index, flags, wanted[index])
            if flags & rtnetlink.UP and not rtnetlink.link_flags(body) & rtnetlink.UP:
                down.append(index)
    return down


def _order(body: bytes) -> tuple[int, int]:
    """Local routes come first, then routes without a gateway, then the others, which depend on them."""
    found = dict(attributes(body[12:]))
    return int(5 in found), -body[7]  # RTA_GATEWAY; rtm_scope is the host's own, then the link's


def _is_tentative(body: bytes) -> bool:
    flags = dict(attributes(body[8:])).get(8, bytes(4))
    return bool(int.from_bytes(flags, "little") & TENTATIVE)


def _forget(kernel: RouteSocket) -> list[Finding]:
    """Removes the state learnt from traffic: neighbours, path MTUs, redirects, round-trip times."""
    added = [body for body in kernel.neighbours() if rtnetlink.neighbour_is_permanent(body)]
    for body in kernel.neighbours():
        with suppress(OSError):
            kernel.forget_neighbour(body)
    learnt = kernel.exceptions()
    for body in learnt:
        with suppress(OSError):
            if not rtnetlink.is_ipv4(body):
                kernel.forget_exception6(body)
    if any(map(rtnetlink.is_ipv4, learnt)):
        _renew_routes(kernel)
    with suppress(OSError, KeyError), TcpMetrics() as metrics:
        metrics.forget()
    left = kernel.exceptions()
    return [
        *finding("neighbour", sorted({_name_of_neighbour(body) for body in added})),
        *finding("route", (_name(ROUTES, body) for body in left), undone=False),
    ]


def _renew_routes(kernel: RouteSocket) -> None:
    """The exceptions of IPv4 routes are removed with the routes, which are then added again."""
    routes = [body for body in kernel.all(ROUTES) if rtnetlink.is_ipv4(body) and body[4] == 254]  # table main
    for body in sorted(routes, key=_order, reverse=True):
        kernel.delete(ROUTES, body)
    for body in sorted(routes, key=_order):
        kernel.add(ROUTES, body)


def _wait_for_carrier(kernel: RouteSocket, links: Sequence[int]) -> None:
    """Returns when a neighbour on each of these links answers: the bridge takes up to a second to notice
    that a cable is plugged in.
    """
    until = time.monotonic() + CABLE_TIMEOUT
    waiting = {index: list(_neighbours_on(kernel, index)) for index in links}
    while any(waiting.values()) and time.monotonic() < until:
        rtnetlink.resolve(each for addresses in waiting.values() for each in addresses)
        time.sleep(0.02)
        answered = {_link_of(body) for body in kernel.neighbours() if _is_reachable(body)}
        waiting = {index: addresses for index, addresses in waiting.items() if index not in answered}


def _link_of(neighbour: bytes) -> int:
    return int.from_bytes(neighbour[4:8], "little")


def _is_reachable(neighbour: bytes) -> bool:
    """True if the neighbour has just answered."""
    return bool(int.from_bytes(neighbour[8:10], "little") & REACHABLE)


def _neighbours_on(kernel: RouteSocket, index: int) -> Iterator[str]:
    """The addresses of the other nodes on the segment of a link."""
    own = [
        ipaddress.ip_interface((dict(attributes(body[8:]))[1], body[1]))
        for body in kernel.all(ADDRESS)
        if body[0] == rtnetlink.INET and int.from_bytes(body[4:8], "little") == index
    ]
    for node in json.loads(TOPOLOGY.read_text())["nodes"]:
        for interface in node["interfaces"]:
            other = ipaddress.ip_interface(interface["address"])
            if any(other.ip in each.network and other.ip != each.ip for each in own):
                yield str(other.ip)


def _name(kind: Kind, body: bytes) -> str:
    """An object as a finding names it."""
    if kind is LINK:
        return rtnetlink.link_name(body)
    found = dict(attributes(body[kind.header :]))
    if kind is QDISC:
        return f"{text(found.get(1, b''))} {rtnetlink.name_of(int.from_bytes(body[4:8], 'little'))}".strip()
    length = body[1]
    if kind is ADDRESS:
        return f"{_address(found.get(2, found.get(1, b'')))}/{length}"
    if kind is RULE:
        return f"{int.from_bytes(found.get(6, bytes(4)), 'little')}"
    return f"{_address(found[1])}/{length}" if 1 in found else "default"


def _name_of_neighbour(body: bytes) -> str:
    return _address(dict(attributes(body[12:])).get(1, b""))


def _address(raw: bytes) -> str:
    return str(ipaddress.ip_address(raw)) if len(raw) in (4, 16) else raw.hex()
