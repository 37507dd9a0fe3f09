"""The routes of this machine, from /proc: without a tool, and for every user."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator
from pathlib import Path

from lab.doctor.checks.prefixes import Route

UP = 0x1  # RTF_UP
REJECT = 0x200  # RTF_REJECT: an unreachable route
LOOPBACK = "lo"


def routes(proc: Path = Path("/proc")) -> list[Route]:
    """The routes of the main table; empty on a machine without /proc/net."""
    return [*ipv4_routes(_read(proc / "net/route")), *ipv6_routes(_read(proc / "net/ipv6_route"))]


def ipv4_routes(text: str) -> Iterator[Route]:
    """The routes in the format of /proc/net/route: little-endian addresses in hexadecimal digits."""
    for line in text.splitlines()[1:]:
        device, destination, _, flags, _, _, _, mask, *_ = line.split()
        if int(flags, 16) & UP and not int(flags, 16) & REJECT:
            address = int.from_bytes(bytes.fromhex(destination), "little")
            length = int.from_bytes(bytes.fromhex(mask), "little").bit_count()
            yield Route(ipaddress.IPv4Network((address, length), strict=False), device)


def ipv6_routes(text: str) -> Iterator[Route]:
    """The routes in the format of /proc/net/ipv6_route, without those to the machine's own addresses."""
    for line in text.splitlines():
        destination, length, *_, flags, device = line.split()
        if int(flags, 16) & UP and not int(flags, 16) & REJECT and device != LOOPBACK:
            address = int(destination, 16)
            yield Route(ipaddress.IPv6Network((address, int(length, 16)), strict=False), device)


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="ascii")
    except OSError:
        return ""
