"""A forged run with eight hosts and three routers, one of which translates addresses.

    alice bob carol ── office ── edge ══ backbone ══ core ── servers ── web db dns
                      (behind NAT)          ║
                                          branch ── plant ── dave erin

bob, carol and erin take no part.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import dpkt

from lab.evidence.events import Note, Output, ProgramExited, ProgramStarted, VerdictGiven
from tests.evidence.trace_runs import FLAGS, Run

SEGMENTS = {"office": "10.1.0", "backbone": "172.28.0", "servers": "172.28.1", "plant": "172.28.2"}
HOSTS = {
    "alice": "10.1.0.10", "bob": "10.1.0.11", "carol": "10.1.0.12",
    "web": "172.28.1.10", "db": "172.28.1.11", "dns": "172.28.1.12",
    "dave": "172.28.2.10", "erin": "172.28.2.11",
}  # fmt: skip
ROUTERS = {
    "edge": {"office": "10.1.0.2", "backbone": "172.28.0.2"},
    "core": {"backbone": "172.28.0.3", "servers": "172.28.1.2"},
    "branch": {"backbone": "172.28.0.4", "plant": "172.28.2.2"},
}
HOME = {"office": "edge", "servers": "core", "plant": "branch"}  # the router of each segment at the edge
OUTSIDE = ROUTERS["edge"]["backbone"]  # the address of the hosts in the office, translated
HOP = 0.00004  # seconds in a router

Segment = tuple[str, str, float, bytes]  # capture, router, seconds, Ethernet addresses


def segment_of(address: str) -> str:
    return next(name for name, prefix in SEGMENTS.items() if address.startswith(f"{prefix}."))


def capture_of(segment: str, router: str) -> str:
    """The name of a router's capture; the first router of a segment has the segment's own."""
    first = next(name for name, ports in ROUTERS.items() if segment in ports)
    return segment if router == first else f"{segment}@{router}"


def mac(address: str) -> bytes:
    return bytes((2, 0x42, *map(int, address.split("."))))


def colons(address: bytes) -> str:
    return address.hex(":")


def topology() -> list[dict[str, Any]]:
    """The nodes as lab.topology.node writes them."""
    hosts = [
        {"name": name, "role": "host", "names": [name], "interfaces": [interface(segment_of(a), a)],
         "routes": [{"to": "default", "via": ROUTERS[HOME[segment_of(a)]][segment_of(a)]}]}
        for name, a in HOSTS.items()
    ]  # fmt: skip
    routers = [
        {"name": name, "role": "router", "names": [name],
         "interfaces": [interface(segment, address) for segment, address in ports.items()],
         "routes": [
             {"to": f"{SEGMENTS[segment]}.0/24", "via": ROUTERS[other]["backbone"]}
             for segment, other in HOME.items() if other != name and segment != "office"
         ],
         **({"nat": ["office"]} if name == "edge" else {})}
        for name, ports in ROUTERS.items()
    ]  # fmt: skip
    return hosts + routers


def interface(segment: str, address: str) -> dict[str, str]:
    return {"segment": segment, "address": f"{address}/24"}


def captures() -> list[dict[str, Any]]:
    return [
        {"name": (name := capture_of(segment, router)), "file": f"{name}.pcapng", "segment": segment,
         "node": router, "hardware": [colons(mac(address))], "networks": [f"{SEGMENTS[segment]}.0/24"],
         "router": [address], "snaplen": 65_535}
        for router, ports in ROUTERS.items()
        for segment, address in ports.items()
    ]  # fmt: skip


def nodes() -> dict[str, Any]:
    of_hosts = {name: {"names": [name], "addresses": [address]} for name, address in HOSTS.items()}
    of_routers = {
        name: {"names": [name], "addresses": list(ports.values())} for name, ports in ROUTERS.items()
    }
    return of_hosts | of_routers


class OfficeRun(Run):
    """A run on this topology: packets are forwarded by the routers and translated."""

    def __init__(self, folder: Path) -> None:
        record = {"scenario": "office", "title": "Alice opens a page.", "nodes": nodes(),
                  "topology": topology(), "captures": captures(), "seconds": 2.0}  # fmt: skip
        frames: dict[str, list[Any]] = {capture["name"]: [] for capture in captures()}
        super().__init__(folder, record, frames=frames)
        self._idents = itertools.count(1)

    def packet(
        self,
        at: float,
        source: str,
        target: str,
        layer: Any,
        protocol: int,
        *,
        delays: Mapping[str, float] = {},
        lost_at: str = "",
        ttl: int = 64,
    ) -> None:
        """One packet between two addresses. ``delays`` are the seconds in each router.

        A packet to OUTSIDE is one to alice, as its sender addresses it. ``lost_at`` is a router.
        """
        ident = next(self._idents)
        behind, wanted = source.startswith("10."), HOSTS["alice"] if target == OUTSIDE else target
        route = self._route(source, segment_of(wanted))
        for number, (segment, router, leaves) in enumerate(route):
            hops = number // 2 + leaves
            at += delays.get(router, HOP) if leaves else 0.00001
            inside = segment == "office"
            packet = dpkt.ip.IP(
                src=bytes(map(int, (source if inside or not behind else OUTSIDE).split("."))),
                dst=bytes(map(int, (wanted if inside else target).split("."))),
                p=protocol, ttl=ttl - hops, id=ident & 0xFFFF, data=layer,
            )  # fmt: skip
            packet.len = len(packet)
            before = mac(source) if number == 0 else mac(ROUTERS[route[number - (not leaves)][1]][segment])
            after = (
                mac(wanted) if number == len(route) - 1 else mac(ROUTERS[route[number + leaves][1]][segment])
            )
            frame = bytes(dpkt.ethernet.Ethernet(src=before, dst=after, data=packet))
            self.seen(capture_of(segment, router), at, frame)
            if router == lost_at:
                return

    @staticmethod
    def _route(source: str, there: str) -> list[tuple[str, str, bool]]:
        """The captures on the path: segment, router, and whether the packet leaves the router there."""
        sender = next((name for name, ports in ROUTERS.items() if source in ports.values()), "")
        last = HOME[there]
        if sender:
            return [("backbone", sender, True), ("backbone", last, False), (there, last, True)]
        here = segment_of(source)
        first = HOME[here]
        between = [("backbone", first, True), ("backbone", last, False)] if first != last else []
        return [(here, first, False), *between, (there, last, True)]

    def segment(
        self,
        at: float,
        source: str,
        target: str,
        ports: tuple[int, int],
        flags: str,
        numbers: tuple[int, int],
        data: bytes = b"",
        **options: Any,
    ) -> None:
        """A TCP segment; ``numbers`` are its sequence and acknowledgment numbers."""
        tcp = dpkt.tcp.TCP(
            sport=ports[0], dport=ports[1], seq=numbers[0], ack=numbers[1], win=64240,
            flags=sum(FLAGS[flag] for flag in flags), data=data,
        )  # fmt: skip
        self.packet(at, source, target, tcp, dpkt.ip.IP_PROTO_TCP, **options)

    def datagram(
        self, at: float, source: str, target: str, ports: tuple[int, int], data: bytes, **options: Any
    ) -> None:
        udp = dpkt.udp.UDP(sport=ports[0], dport=ports[1], data=data, ulen=8 + len(data))
        self.packet(at, source, target, udp, dpkt.ip.IP_PROTO_UDP, **options)

    def exchange(
        self, at: float, client: str, server: str, ports: tuple[int, int], ask: bytes, answer: bytes
    ) -> None:
        """A connection with one request and one answer, which the client closes."""
        back = OUTSIDE if client.startswith("10.") else client
        there, here = ports, ports[::-1]
        steps = [
            (client, server, there, "S", (1000, 0), b""),
            (server, back, here, "SA", (7000, 1001), b""),
            (client, server, there, "A", (1001, 7001), b""),
            (client, server, there, "PA", (1001, 7001), ask),
            (server, back, here, "PA", (7001, 1001 + len(ask)), answer),
            (client, server, there, "FA", (1001 + len(ask), 7001 + len(answer)), b""),
            (server, back, here, "FA", (7001 + len(answer), 1002 + len(ask)), b""),
            (client, server, there, "A", (1002 + len(ask), 7002 + len(answer)), b""),
        ]
        for number, step in enumerate(steps):
            self.segment(at + number * 0.0006, *step)


def office(folder: Path) -> OfficeRun:
    """alice opens a page of web, which asks db; she looks up a name; dave's datagrams are lost at branch."""
    run = OfficeRun(folder)
    alice, web, db, dns, dave = (HOSTS[name] for name in ("alice", "web", "db", "dns", "dave"))
    run.add(ProgramStarted, 0.10, "web", 1, "nginx")
    run.add(ProgramStarted, 0.12, "db", 2, "redis-server")
    run.print(0.15, "web", "ready to accept connections on port 80", 1)
    run.add(ProgramStarted, 0.20, "alice", 3, "curl http://web/")
    run.datagram(0.21, alice, dns, (41000, 53), b"web?")
    run.datagram(0.2104, dns, OUTSIDE, (53, 41000), b"172.28.1.10")
    run.exchange(0.22, alice, web, (40000, 80), b"GET / HTTP/1.1\r\n\r\n", b"HTTP/1.1 200 OK\r\n\r\nhello")
    run.exchange(0.5, dave, db, (42000, 6379), b"SET temperature 20", b"+OK")
    run.add(Output, 0.24, "alice", 3, "stdout", "hello")
    run.add(ProgramExited, 0.25, "alice", 3, 0)
    run.add(Note, 0.3, "lab", "the machine of the plant reports")
    run.add(ProgramStarted, 0.31, "dave", 4, "python3 report.py")
    for number in range(3):
        run.datagram(0.35 + number / 5, dave, web, (43000, 514), b"temperature 21", lost_at="branch")
    run.datagram(1.0, dave, web, (43000, 514), b"temperature 22", delays={"branch": 0.04, "core": 0.02})
    run.add(ProgramExited, 1.1, "dave", 4, 0)
    run.add(VerdictGiven, 1.2, "lab", "pass")
    return run


def busy(folder: Path, packets: int = 2_000) -> OfficeRun:
    """As ``office``, with many datagrams between all pairs of hosts."""
    run = office(folder)
    pairs = [
        (a, b) for a in HOSTS.values() for b in HOSTS.values() if segment_of(a) != segment_of(b) != "office"
    ]
    for number in range(packets):
        source, target = pairs[number * 7 % len(pairs)]
        run.datagram(1.5 + number / 2000, source, target, (44000, 2000 + number % 9), b"%d" % number)
    return run
