"""Packets: the frames of one capture, decoded to plain values with dpkt."""

from __future__ import annotations

import codecs
import ipaddress
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import dpkt  # type: ignore[import-untyped]  # it has no stubs

from lab.protocols.printable import printable

TEXT_PREVIEW, HEX_PREVIEW = 12, 4  # characters, or bytes, of a payload that a preview shows
FLAGS = {"S": "SYN", "F": "FIN", "R": "RST", "P": "PSH", "U": "URG", "E": "ECE", "C": "CWR", "A": "ACK"}
_FLAG_BITS = {"S": 0x02, "F": 0x01, "R": 0x04, "P": 0x08, "U": 0x20, "E": 0x40, "C": 0x80, "A": 0x10}

# The errors of ICMP and ICMPv6 (RFC 792, RFC 4443) that reach a program: protocol, type and code.
PORT_UNREACHABLE = (("icmp", 3, 3), ("icmp6", 1, 4))
NO_ROUTE = (("icmp", 3, 0), ("icmp6", 1, 0))
PROHIBITED = (("icmp", 3, 9), ("icmp", 3, 10), ("icmp", 3, 13), ("icmp6", 1, 1))
TOO_BIG = (("icmp", 3, 4), ("icmp6", 2, 0))
TIME_EXCEEDED = (("icmp", 11, 0), ("icmp6", 3, 0))
ICMP_ERRORS = {
    ("icmp", 3, 0): "network unreachable",
    ("icmp", 3, 1): "host unreachable",
    ("icmp", 3, 2): "protocol unreachable",
    ("icmp", 3, 3): "port unreachable",
    ("icmp", 3, 4): "fragmentation needed",
    ("icmp", 3, 9): "network prohibited",
    ("icmp", 3, 10): "host prohibited",
    ("icmp", 3, 13): "prohibited by a filter",
    ("icmp", 11, 0): "time to live exceeded",
    ("icmp", 11, 1): "fragment reassembly time exceeded",
    ("icmp6", 1, 0): "no route",
    ("icmp6", 1, 1): "prohibited by a filter",
    ("icmp6", 1, 3): "address unreachable",
    ("icmp6", 1, 4): "port unreachable",
    ("icmp6", 2, 0): "packet too big",
    ("icmp6", 3, 0): "hop limit exceeded",
    ("icmp6", 3, 1): "fragment reassembly time exceeded",
}
ICMP_OTHER = {
    ("icmp", 0): "echo reply", ("icmp", 8): "echo request",
    ("icmp6", 128): "echo request", ("icmp6", 129): "echo reply",
    ("icmp6", 133): "router solicitation", ("icmp6", 134): "router advertisement",
    ("icmp6", 135): "neighbour solicitation", ("icmp6", 136): "neighbour advertisement",
    ("icmp6", 143): "multicast listener report",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Packet:
    """One packet in one capture. Lengths are those on the wire, even if the capture is shorter."""

    at: float  # seconds since the epoch, on the controller's clock
    segment: str  # the name of the capture, which is that of a segment or a host
    number: int  # in that capture, from 1: Wireshark's "No."
    protocol: str  # tcp | udp | icmp | icmp6 | arp | ip (another, or a later fragment) | other
    size: int  # bytes of the whole Ethernet frame
    source: str = ""  # IP addresses; "" if it isn't IP
    destination: str = ""
    sport: int = 0  # ports of TCP and UDP; else 0
    dport: int = 0
    length: int = 0  # bytes of payload
    payload: bytes = b""  # the part that was captured
    flags: str = ""  # TCP flags, in the order of FLAGS: "S", "SA", "PA", "FA", "RA"
    seq: int = 0
    ack: int = 0
    window: int = 0  # the header's value, not scaled
    ttl: int = 0
    ident: int = 0  # identification of IPv4, or of an IPv6 fragment
    fragment: int = -1  # the offset of this fragment in bytes; -1 if the packet isn't fragmented
    more_fragments: bool = False
    icmp: tuple[int, int] = (-1, -1)  # type and code
    about: Packet | None = None  # the packet that an ICMP error quotes
    echo: tuple[int, int] = (-1, -1)  # identifier and sequence number of an echo request or reply
    ethernet: tuple[str, str] = ("", "")  # the addresses of the sending and the receiving interface

    @property
    def flow(self) -> tuple[str, str, int, str, int]:
        """Protocol, source and destination: the same in every packet of one direction."""
        return self.protocol, self.source, self.sport, self.destination, self.dport

    @property
    def label(self) -> str:
        """A short description: "SYN", "PSH ACK 15 bytes", "UDP 5 bytes", "ICMP port unreachable"."""
        if self.protocol == "tcp":
            words = [word for letter, word in FLAGS.items() if letter in self.flags]
            return " ".join([*words, *([_bytes(self.length)] if self.length else [])])
        if self.protocol in ("icmp", "icmp6"):
            return f"ICMP {self._icmp_label()}"
        if self.fragment > 0:
            return f"fragment at {self.fragment}, {_bytes(self.length)}"
        if self.protocol == "udp":
            first = " (first fragment)" if self.fragment == 0 else ""
            return f"UDP {_bytes(self.length)}{first}"
        return f"{self.protocol.upper()} {_bytes(self.length)}"

    @property
    def preview(self) -> str:
        """The start of a TCP or UDP payload, as in ``preview``; "" without one."""
        return preview(self.payload, self.length) if self.protocol in ("tcp", "udp") else ""

    @property
    def is_pure_ack(self) -> bool:
        """Whether it is a TCP segment that only acknowledges: no data, no other flag."""
        return self.protocol == "tcp" and self.flags == "A" and not self.length

    @property
    def is_error(self) -> bool:
        """Whether this is an ICMP error: a router or a host reports that it dropped a packet."""
        return (self.protocol, *self.icmp) in ICMP_ERRORS

    @property
    def is_port_unreachable(self) -> bool:
        """Whether this is the ICMP error of a host on which nothing listens on the port."""
        return (self.protocol, *self.icmp) in PORT_UNREACHABLE

    def _icmp_label(self) -> str:
        kind, code = self.icmp
        known = ICMP_ERRORS.get((self.protocol, kind, code)) or ICMP_OTHER.get((self.protocol, kind))
        return known or f"type {kind} code {code}"


def _bytes(count: int) -> str:
    return "1 byte" if count == 1 else f"{count:,} bytes".replace(",", " ")


def preview(payload: bytes, length: int) -> str:
    """The start of a payload of ``length`` bytes: “text” in quotes, or else its first bytes: 05 00 00 00 …

    ``payload`` is the captured part. It is text if it is valid UTF-8 without control characters other than
    tab, CR and LF; its last character may be incomplete if the capture cut it. The page's data.js has the
    same rule.
    """
    captured = payload[:length]
    text = _text(captured, is_cut=len(captured) < length)
    if text:
        return f"“{printable(text[:TEXT_PREVIEW])}”"
    more = " …" if captured and length > HEX_PREVIEW else ""
    return captured[:HEX_PREVIEW].hex(" ") + more


def _text(data: bytes, *, is_cut: bool) -> str:
    """``data`` decoded, or "" if it isn't text."""
    try:
        text = codecs.getincrementaldecoder("utf-8")().decode(data, final=not is_cut)
    except UnicodeDecodeError:
        return ""
    is_text = all(c in "\t\r\n" or unicodedata.category(c) != "Cc" for c in text)
    return text if is_text else ""


def decode(frame: bytes, at: float, size: int, segment: str, number: int) -> Packet:
    """The packet in an Ethernet frame of ``size`` bytes; ``frame`` is the captured part of it.

    Never fails: a frame that can't be decoded becomes a packet with the protocol "other".
    """
    facts: dict[str, Any] = {}
    try:
        ethernet = dpkt.ethernet.Ethernet(frame)
        facts = _network(ethernet.data, size - dpkt.ethernet.ETH_HDR_LEN)
        facts["ethernet"] = (_hardware(ethernet.src), _hardware(ethernet.dst))
    except (dpkt.UnpackError, ValueError, IndexError):
        pass  # truncated within a header, or not Ethernet
    return Packet(at, segment, number, facts.pop("protocol", "other"), size, **facts)


def _network(layer: Any, size: int) -> dict[str, Any]:
    """The fields of an IP or ARP packet of ``size`` bytes on the wire."""
    if isinstance(layer, dpkt.ip.IP):
        # The length is 0 in a packet of more than 64 KiB: the kernel splits it after the capture.
        whole = layer.len or size
        facts = {"ttl": layer.ttl, "ident": layer.id}
        if layer.mf or layer.offset:
            facts |= {"fragment": 8 * layer.offset, "more_fragments": bool(layer.mf)}
        return facts | _transport(layer, layer.data, layer.p, whole - 4 * layer.hl)
    if isinstance(layer, dpkt.ip6.IP6):
        facts = {"ttl": layer.hlim}
        extensions = sum(len(header) for header in layer.all_extension_headers)
        piece = layer.extension_hdrs.get(dpkt.ip.IP_PROTO_FRAGMENT)
        if piece is not None and (piece.frag_off or piece.m_flag):
            facts |= {"fragment": 8 * piece.frag_off, "more_fragments": bool(piece.m_flag), "ident": piece.id}
        return facts | _transport(layer, layer.data, layer.p, (layer.plen or size - 40) - extensions)
    if isinstance(layer, dpkt.arp.ARP):
        return {"protocol": "arp", "source": _address(layer.spa), "destination": _address(layer.tpa)}
    return {}


def _transport(ip: Any, layer: Any, protocol: int, size: int) -> dict[str, Any]:
    """The fields of an IP payload of ``size`` bytes, transport header included."""
    facts: dict[str, Any] = {"source": _address(ip.src), "destination": _address(ip.dst)}
    if isinstance(layer, dpkt.tcp.TCP):
        return facts | {
            "protocol": "tcp", "sport": layer.sport, "dport": layer.dport,
            "flags": _flag_letters(layer.flags), "seq": layer.seq, "ack": layer.ack, "window": layer.win,
            "length": max(0, size - 4 * layer.off), "payload": layer.data,
        }  # fmt: skip
    if isinstance(layer, dpkt.udp.UDP):
        whole = {"protocol": "udp", "sport": layer.sport, "dport": layer.dport}
        return facts | whole | {"length": max(0, size - 8), "payload": layer.data}
    if isinstance(layer, (dpkt.icmp.ICMP, dpkt.icmp6.ICMP6)):
        name = "icmp" if isinstance(layer, dpkt.icmp.ICMP) else "icmp6"
        facts |= {"protocol": name, "icmp": (layer.type, layer.code), "length": max(0, size - 8)}
        if isinstance(layer.data, (dpkt.icmp.ICMP.Echo, dpkt.icmp6.ICMP6.Echo)):
            facts["echo"] = (layer.data.id, layer.data.seq)
        return facts | {"about": _quoted(layer.data), "payload": bytes(getattr(layer.data, "data", b""))[:64]}
    return facts | {"protocol": "ip", "length": max(0, size), "payload": bytes(layer)}


def _quoted(message: Any) -> Packet | None:
    """The packet that an ICMP error quotes: its IP header and at least 8 more bytes, which hold the ports."""
    quoted = getattr(message, "data", None)
    if not isinstance(quoted, (dpkt.ip.IP, dpkt.ip6.IP6)):
        return None
    facts = _network(quoted, len(quoted))
    if facts.get("protocol") == "ip" and quoted.p in (6, 17) and len(facts["payload"]) >= 4:
        rest = facts["payload"]  # dpkt doesn't decode a TCP header of 8 bytes
        facts["protocol"] = "tcp" if quoted.p == 6 else "udp"
        facts |= {"sport": int.from_bytes(rest[:2]), "dport": int.from_bytes(rest[2:4]), "payload": b""}
    return Packet(0.0, "", 0, facts.pop("protocol"), len(quoted), **facts)


@lru_cache(maxsize=4096)
def _address(raw: bytes) -> str:
    return str(ipaddress.ip_address(raw))


@lru_cache(maxsize=4096)
def _hardware(raw: bytes) -> str:
    return raw.hex(":")


@lru_cache(maxsize=256)
def _flag_letters(bits: int) -> str:
    return "".join(letter for letter, bit in _FLAG_BITS.items() if bits & bit)


def in_time(packets: Iterable[Packet]) -> list[Packet]:
    """The packets of several captures, sorted by time."""
    return sorted(packets, key=lambda packet: packet.at)
