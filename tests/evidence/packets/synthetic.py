"""Synthetic captures: frames as the routers of a planned lab would capture them, built with dpkt."""

from __future__ import annotations

import ipaddress
import socket
from collections import Counter
from dataclasses import replace

import dpkt

from lab.evidence.packets.capture_info import CaptureInfo
from lab.evidence.packets.packet import decode
from lab.evidence.packets.traffic import Traffic
from lab.topology.model import Attachment, Forward, Host, Router, Segment, Topology
from lab.topology.node import Route
from lab.topology.plan import plan

DELAY = 0.001  # seconds in each router
HOP = 0.00002  # seconds on each segment


def topology(hosts, routers, *, nat=None, forwards=None):
    """The plan of a lab: ``hosts`` and ``routers`` map names to segments."""
    segments = dict.fromkeys(name for each in (*hosts.values(), *routers.values()) for name in each)
    return plan(
        Topology(
            "test",
            segments=tuple(Segment(name) for name in segments),
            hosts=tuple(Host(name, tuple(map(Attachment, on))) for name, on in hosts.items()),
            routers=tuple(
                Router(
                    name,
                    tuple(map(Attachment, on)),
                    nat=tuple((nat or {}).get(name, ())),
                    forwards=tuple(Forward(*each) for each in (forwards or {}).get(name, ())),
                )
                for name, on in routers.items()
            ),
        )
    )


class Network:
    """The network of a plan. ``send`` gives the packets that its captures see of one packet.

    Without ``ethernet``, the captures don't have the Ethernet addresses of their interfaces, as in an old
    record. ``hosts`` are those that capture the packets to their neighbours.
    """

    def __init__(self, planned, *, ethernet=True, hosts=()):
        self.nodes = {node.name: node for node in planned.nodes}
        self.addresses = {a: node.name for node in planned.nodes for a in (*node.addresses, *node.addresses6)}
        pairs = [(node.name, segment) for node in planned.nodes for segment in node.segments]
        self.cards = {pair: f"02:00:00:00:00:{number:02x}" for number, pair in enumerate(pairs, 1)}
        self.captures = {}
        self.counts = Counter()
        for node in planned.nodes:
            if node.role == "router":
                for interface in node.interfaces:
                    self._capture(node.name, interface, ethernet)
        for name in hosts:
            for interface in self.nodes[name].interfaces:
                self._capture(name, interface, ethernet)

    def _capture(self, router, interface, ethernet):
        segment = interface.segment
        taken = {capture.segment for capture in self.captures.values()}
        name = f"{segment}@{router}" if segment in taken or self.nodes[router].role == "host" else segment
        own = [ipaddress.ip_interface(a) for a in (interface.address, interface.address6) if a]
        self.captures[router, segment] = CaptureInfo(
            name,
            f"{name}.pcapng",
            segment,
            router,
            hardware=(self.cards[router, segment],) if ethernet else (),
            networks=tuple(str(a.network) for a in own),
            router=tuple(str(a.ip) for a in own),
        )

    def address(self, node, segment="", version=4):
        """A node's address; the first, or the one on ``segment``."""
        for interface in self.nodes[node].interfaces:
            if segment in ("", interface.segment):
                return (interface.address if version == 4 else interface.address6).partition("/")[0]
        raise KeyError(segment)

    def traffic(self, *packets, topology=True):
        """Traffic of packets and lists of packets."""
        flat = [p for item in packets for p in (item if isinstance(item, list) else [item])]
        nodes = [node.to_json() for node in self.nodes.values()] if topology else ()
        return Traffic(flat, self.captures.values(), self.addresses, nodes)

    def default(self, name, router):
        """Replaces the routes of a node by a default route."""
        self.nodes[name] = replace(self.nodes[name], routes=(Route("default", router),))

    def moved(self, packet, by, **changes):
        """A packet that was seen later, as another one."""
        return replace(packet, at=packet.at + by, **changes)

    def decode(self, at, frame, capture):
        """A frame as a packet of a capture."""
        self.counts[capture] += 1
        return decode(bytes(frame), at, len(frame), capture, self.counts[capture])

    def send(self, at, data, *, lost_at="", lost_on="", translations=None, start="", first="", limit=99):
        """What the captures see of an IP packet (dpkt), in the order of its path.

        It is lost at a router, or on a segment. ``translations`` maps a router to a function that changes
        the packet there. ``start`` is the sending node, if its address isn't one of its own; ``first`` the
        segment that it leaves on, if not by its routes.
        """
        node = start or self.addresses[_text(data.src)]
        seen, sent = [], True
        while len(seen) < limit:
            target = _text(data.dst)
            hop = self._hop(node, target)
            if hop is None:
                return seen
            segment, via = (first, self._router_on(first)) if sent and first else hop
            receiver = self.addresses.get(via or target)
            at += HOP
            local = sent and not via and receiver and self.nodes[receiver].role == "host"
            if self.nodes[node].role == "router" or (local and (node, segment) in self.captures):
                seen.append(self._see(at, data, node, segment, node, receiver))
            if lost_on == segment or receiver is None:
                return seen
            if self.nodes[receiver].role == "router" or (local and (receiver, segment) in self.captures):
                at += HOP
                seen.append(self._see(at, data, receiver, segment, node, receiver))
            translated = (translations or {}).get(receiver)
            if lost_at == receiver or (not translated and self.addresses.get(target) == receiver):
                return seen
            data, at, node, sent = _forwarded(data), at + DELAY, receiver, False
            if translated:
                translated(data)
        return seen

    def _see(self, at, data, router, segment, sender, receiver):
        capture = self.captures[router, segment]
        frame = dpkt.ethernet.Ethernet(
            src=_card(self.cards[sender, segment]),
            dst=_card(self.cards[receiver, segment]),
            type=dpkt.ethernet.ETH_TYPE_IP if data.v == 4 else dpkt.ethernet.ETH_TYPE_IP6,
            data=bytes(data),
        )
        return self.decode(at, frame, capture.name)

    def _router_on(self, segment):
        router = next(r for r, s in self.captures if s == segment)
        return self.address(router, segment)

    def _hop(self, node, destination):
        """The segment, and the address of the next router; None without a route."""
        ip = ipaddress.ip_address(destination)
        ways = []
        for interface in self.nodes[node].interfaces:
            for own in filter(None, (interface.address, interface.address6)):
                if ip in ipaddress.ip_interface(own).network:
                    ways.append((999, interface.segment, ""))
        for route in self.nodes[node].routes:
            version = ipaddress.ip_address(route.via).version
            to = route.to if route.to != "default" else ("0.0.0.0/0" if version == 4 else "::/0")
            if ip in (network := ipaddress.ip_network(to)):
                ways.append((network.prefixlen, self._segment(node, route.via), route.via))
        return max(ways)[1:] if ways else None

    def _segment(self, node, address):
        ip = ipaddress.ip_address(address)
        return next(
            interface.segment
            for interface in self.nodes[node].interfaces
            for own in filter(None, (interface.address, interface.address6))
            if ip in ipaddress.ip_interface(own).network
        )


def _card(text):
    return bytes.fromhex(text.replace(":", ""))


def _raw(address):
    return ipaddress.ip_address(address).packed


def _text(raw):
    return str(ipaddress.ip_address(raw))


def _forwarded(data):
    """The packet with a time to live that is one less."""
    copy = type(data)(bytes(data))
    if copy.v == 4:
        copy.ttl -= 1
        copy.sum = 0
    else:
        copy.hlim -= 1
    return copy


def ip(source, destination, data, *, ident=0, ttl=64):
    """An IP packet with a dpkt transport layer."""
    protocols = {dpkt.tcp.TCP: 6, dpkt.udp.UDP: 17, dpkt.icmp.ICMP: 1, dpkt.icmp6.ICMP6: 58}
    protocol = protocols[type(data)]
    if ":" in source:
        return dpkt.ip6.IP6(
            src=_raw(source), dst=_raw(destination), nxt=protocol, hlim=ttl, plen=len(data), data=data
        )
    return dpkt.ip.IP(
        src=_raw(source), dst=_raw(destination), p=protocol, id=ident, ttl=ttl, len=20 + len(data), data=data
    )


def tcp(source, sport, destination, dport, flags, seq=0, ack=0, payload=b"", **options):
    bits = sum({"S": 2, "F": 1, "R": 4, "P": 8, "A": 16}[flag] for flag in flags)
    segment = dpkt.tcp.TCP(sport=sport, dport=dport, flags=bits, seq=seq, ack=ack, win=500, data=payload)
    return ip(source, destination, segment, **options)


def udp(source, sport, destination, dport, payload=b"hello", **options):
    datagram = dpkt.udp.UDP(sport=sport, dport=dport, ulen=8 + len(payload), data=payload)
    return ip(source, destination, datagram, **options)


def echo(source, destination, number=1, ident=77, *, reply=False, payload=b"ping", **options):
    if ":" in source:
        body = dpkt.icmp6.ICMP6.Echo(id=ident, seq=number, data=payload)
        return ip(source, destination, dpkt.icmp6.ICMP6(type=129 if reply else 128, data=body), **options)
    body = dpkt.icmp.ICMP.Echo(id=ident, seq=number, data=payload)
    return ip(source, destination, dpkt.icmp.ICMP(type=0 if reply else 8, data=body), **options)


def error(source, about, kind=3, code=3, **options):
    """An ICMP error about an IPv4 packet, to its sender."""
    body = {3: dpkt.icmp.ICMP.Unreach, 11: dpkt.icmp.ICMP.TimeExceed}[kind](data=about)
    return ip(source, socket.inet_ntoa(about.src), dpkt.icmp.ICMP(type=kind, code=code, data=body), **options)


def rewrite(**changes):
    """A translation that sets ``source``, ``sport``, ``destination``, ``dport``, or ``echo``."""

    def apply(data):
        for name, value in changes.items():
            if name in ("source", "destination"):
                setattr(data, {"source": "src", "destination": "dst"}[name], _raw(value))
            elif name == "echo":
                data.data.data.id = value
            else:
                setattr(data.data, name, value)

    return apply
