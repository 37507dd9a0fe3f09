"""Forged packets and captures: the traffic of a run without a run."""

from __future__ import annotations

from dataclasses import replace

from lab.evidence.packets.packet import Packet
from lab.evidence.packets.traffic import CaptureInfo, Traffic

KALI, WIN10 = "192.168.40.129", "172.28.66.163"
ROUTER = {"clients": "192.168.40.2", "servers": "172.28.66.2"}
NAMES = {KALI: "kali", WIN10: "win10", ROUTER["clients"]: "router", ROUTER["servers"]: "router"}
NETWORKS = {
    "clients": ("192.168.40.0/24", "fd28:40::/64"),
    "servers": ("172.28.66.0/24", "fd28:66::/64"),
}
CAPTURES = [
    CaptureInfo(name, f"{name}.pcapng", name, "router", networks=NETWORKS[name], router=(ROUTER[name],))
    for name in NETWORKS
]


def tcp(
    at,
    flags,
    seq=0,
    ack=0,
    length=0,
    *,
    back=False,
    ident=0,
    port=8001,
    client=50000,
    window=100,
    payload=None,
):
    """A TCP packet on the segment of its sender: kali, or win10 if ``back``."""
    payload = (b"x" * length if payload is None else payload)[:200]
    common = {
        "protocol": "tcp",
        "size": 54 + length,
        "ttl": 64,
        "flags": flags,
        "seq": seq % 2**32,
        "ack": ack,
    }
    common |= {"length": length, "payload": payload, "ident": ident, "window": window}
    if back:
        return Packet(at, "servers", 0, source=WIN10, sport=port, destination=KALI, dport=client, **common)
    return Packet(at, "clients", 0, source=KALI, sport=client, destination=WIN10, dport=port, **common)


def udp(at, payload=b"hello", *, back=False, ident=0, port=9090, client=50000):
    packet = tcp(
        at, "", length=len(payload), payload=payload, back=back, ident=ident, port=port, client=client
    )
    return replace(packet, protocol="udp", window=0)


def crossed(packet, delay=0.001):
    """The packet on both segments."""
    return [packet, past(packet, delay)]


def past(packet, delay=0.001):
    """The packet as it leaves the router."""
    other = "servers" if packet.segment == "clients" else "clients"
    return replace(packet, at=packet.at + delay, segment=other, ttl=packet.ttl - 1)


def traffic(*packets):
    """Traffic that consists of packets and lists of packets."""
    flat = [p for item in packets for p in (item if isinstance(item, list) else [item])]
    return Traffic(flat, CAPTURES, NAMES)


def handshake(at=1.0, isn=1000, peer=5000, **options):
    return [
        *crossed(tcp(at, "S", isn, **options)),
        *crossed(tcp(at + 0.01, "SA", peer, isn + 1, back=True, **options)),
        *crossed(tcp(at + 0.02, "A", isn + 1, peer + 1, **options)),
    ]
