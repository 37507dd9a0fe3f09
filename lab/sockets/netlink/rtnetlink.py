"""The network configuration of this host: links, addresses, routes, rules, neighbours, qdiscs (rtnetlink(7)).

The body of a dumped message can be sent back to the kernel, to add the object again or to delete it.
"""

from __future__ import annotations

import socket
import struct
from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import NamedTuple, TypeAlias

from lab.sockets.netlink.messages import CREATE, Netlink, attributes, packed, text

ROUTE = 0  # NETLINK_ROUTE
INET, INET6 = 2, 10
UP = 0x1  # IFF_UP
CLONED = 0x200  # RTM_F_CLONED: a cached exception of a route, such as a path MTU
DISCARD = 9  # the port of the discard service
NOARP, PERMANENT = 0x40, 0x80  # states of a neighbour
PROXY = 0x8  # NTF_PROXY

NEWLINK, DELLINK, GETLINK = 16, 17, 18
NEWADDR, DELADDR, GETADDR = 20, 21, 22
NEWROUTE, DELROUTE, GETROUTE = 24, 25, 26
NEWNEIGH, DELNEIGH, GETNEIGH = 28, 29, 30
NEWRULE, DELRULE, GETRULE = 32, 33, 34
NEWQDISC, DELQDISC, GETQDISC = 36, 37, 38

IFNAME, MTU, QLEN, LINKADDRESS, GROUP = 3, 4, 13, 1, 27
_link = struct.Struct("=BxHiII")  # ifinfomsg: family, type, index, flags, change
_address = struct.Struct("=BBBBI")  # ifaddrmsg: family, prefix length, flags, scope, index
_route = struct.Struct("=BBBBBBBBI")  # rtmsg: …, flags
_neighbour = struct.Struct("=BxxxiHBB")  # ndmsg: family, index, state, flags, type
_qdisc = struct.Struct("=BxxxiIII")  # tcmsg: family, index, handle, parent, info

Key: TypeAlias = tuple[object, ...]


class Kind(NamedTuple):
    """A kind of object: its messages, and the parts of a dumped one that tell whether it has changed."""

    name: str
    new: int
    delete: int
    get: int
    header: int  # bytes of the fixed part
    key: Callable[[bytes], Key]


def _without(body: bytes, header: int, ignored: Iterable[int]) -> tuple[tuple[int, bytes], ...]:
    return tuple(sorted((kind, value) for kind, value in attributes(body[header:]) if kind not in ignored))


def _link_key(body: bytes) -> Key:
    """Its index, flags, and the attributes that `ip link set` changes; no counters."""
    _, kind, index, flags, _ = _link.unpack_from(body)
    kept = {
        IFNAME,
        MTU,
        QLEN,
        LINKADDRESS,
        GROUP,
        20,
        53,
    }  # IFALIAS, PERM_ADDRESS' neighbour: alternative names
    chosen = tuple((each, value) for each, value in attributes(body[_link.size :]) if each in kept)
    return (index, kind, flags & 0x10FBF & ~0x50, *chosen)  # without RUNNING and the flags of the carrier


def _address_key(body: bytes) -> Key:
    """Everything but the times at which it was made and changed, and the state of its detection."""
    family, length, _, scope, index = _address.unpack_from(body)
    found = dict(attributes(body[_address.size :]))
    lifetimes = found.pop(6, b"")[:8]  # IFA_CACHEINFO: preferred, valid, and two times
    flags = int.from_bytes(found.pop(8, bytes(4)), "little") & 0x2D7  # IFA_FLAGS, without TENTATIVE, NODAD …
    return family, length, flags & ~0x42, scope, index, lifetimes, *sorted(found.items())


def _route_key(body: bytes) -> Key:
    head = _route.unpack_from(body)
    return (
        *head[:8],
        head[8] & ~0x1D,
        *_without(body, _route.size, {12}),
    )  # no DEAD, LINKDOWN; no RTA_CACHEINFO


def _rule_key(body: bytes) -> Key:
    return body[: _route.size], *_without(body, _route.size, ())


def _qdisc_key(body: bytes) -> Key:
    """Without its statistics, and without the handle of a default one."""
    _, index, handle, parent, _ = _qdisc.unpack_from(body)
    return index, handle, parent, *_without(body, _qdisc.size, {3, 7, 4})  # TCA_STATS, STATS2, XSTATS


LINK = Kind("link", NEWLINK, DELLINK, GETLINK, _link.size, _link_key)
ADDRESS = Kind("address", NEWADDR, DELADDR, GETADDR, _address.size, _address_key)
ROUTES = Kind("route", NEWROUTE, DELROUTE, GETROUTE, _route.size, _route_key)
RULE = Kind("rule", NEWRULE, DELRULE, GETRULE, _route.size, _rule_key)
QDISC = Kind("qdisc", NEWQDISC, DELQDISC, GETQDISC, _qdisc.size, _qdisc_key)
KINDS = (LINK, ADDRESS, RULE, ROUTES, QDISC)


class RouteSocket(Netlink):
    """Requests to rtnetlink. All methods raise OSError."""

    def __init__(self) -> None:
        super().__init__(ROUTE)

    def all(self, kind: Kind) -> list[bytes]:
        """The bodies of all objects of a kind. Cached exceptions of routes are left out."""
        found = [body for new, body in self.dump(kind.get, bytes(kind.header)) if new == kind.new]
        if kind is ROUTES:
            found = [body for body in found if not _route.unpack_from(body)[8] & CLONED]
        return found

    def exceptions(self) -> list[bytes]:
        """The cached exceptions of routes: path MTUs that were learnt, and redirects."""
        found = [body for _, body in self.dump(GETROUTE, bytes(_route.size))]
        return [body for body in found if _route.unpack_from(body)[8] & CLONED]

    def neighbours(self) -> list[bytes]:
        """The neighbours, except those that the kernel itself needs; and the proxies."""
        found = [body for _, body in self.dump(GETNEIGH, bytes(_neighbour.size))]
        proxies = self.dump(GETNEIGH, _neighbour.pack(0, 0, 0, PROXY, 0))
        kept = [body for body in found if not _neighbour.unpack_from(body)[2] & NOARP]
        return kept + [body for _, body in proxies if _neighbour.unpack_from(body)[3] & PROXY]

    def add(self, kind: Kind, body: bytes) -> None:
        self.request(kind.new, body, CREATE)

    def delete(self, kind: Kind, body: bytes) -> None:
        if kind is LINK:  # the other attributes of a dumped link aren't accepted
            body = _link.pack(0, 0, link_index(body), 0, 0)
        self.request(kind.delete, body)

    def forget_neighbour(self, body: bytes) -> None:
        self.request(DELNEIGH, body)

    def forget_exception6(self, body: bytes) -> None:
        """Removes a cached exception of an IPv6 route."""
        self.request(DELROUTE, body)

    def set_link(self, index: int, flags: int, body: bytes) -> None:
        """Gives a link the flags, MTU, queue length and hardware address of a dumped one."""
        kept = b"".join(
            packed(kind, value)
            for kind, value in attributes(body[_link.size :])
            if kind in (MTU, QLEN, LINKADDRESS, GROUP)
        )
        self.request(NEWLINK, _link.pack(0, 0, index, flags, 0xFFFFFFFF) + kept)


def is_ipv4(body: bytes) -> bool:
    return body[0] == INET


def link_index(body: bytes) -> int:
    return int(_link.unpack_from(body)[2])


def link_flags(body: bytes) -> int:
    return int(_link.unpack_from(body)[3])


def link_name(body: bytes) -> str:
    return next((text(value) for kind, value in attributes(body[_link.size :]) if kind == IFNAME), "")


def name_of(index: int) -> str:
    """The name of a link; "" if it is gone."""
    try:
        return socket.if_indextoname(index)
    except OSError:
        return ""


def resolve(addresses: Iterable[str]) -> None:
    """Makes the kernel ask for the hardware addresses of these IPv4 neighbours: sends each a datagram."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        for address in addresses:
            with suppress(OSError):
                probe.sendto(b"", (address, DISCARD))


def is_default(qdisc: bytes) -> bool:
    """True for a queueing discipline that nobody has set."""
    return int(_qdisc.unpack_from(qdisc)[2]) == 0


def neighbour_is_permanent(body: bytes) -> bool:
    """True if it doesn't come from traffic: somebody has added it."""
    _, _, state, flags, _ = _neighbour.unpack_from(body)
    return bool(state & PERMANENT or flags & PROXY)
