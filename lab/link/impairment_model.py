"""Decides what happens to each packet, from a seed and the packet's position in its conversation.

The decision is a function of
    the seed, the direction, the IP version, the protocol, the lower of the two port numbers,
    the number of the conversation among those with the same values, in order of appearance, and
    the number of the packet in that conversation and direction.
It doesn't depend on time, addresses, a client's ephemeral port or the traffic of other programs. Each packet
uses six random numbers for any settings, so changing one setting doesn't affect the others.
"""

from __future__ import annotations

import random
from collections.abc import Callable, MutableSequence
from typing import NamedTuple, TypeAlias

from lab.link import PROBE_PORT
from lab.link.settings import PROTOCOLS, Drop, Impairment, flag_bits

MAX_FLOWS = 8192  # conversations remembered; beyond that the oldest is forgotten
HEADERS = 96  # bytes of a packet that are sufficient to read its ports and flags

_MATCHED_FLAGS = flag_bits("SYN+ACK+FIN+RST")
_WITH_PORTS = (6, 17, 132, 136)
_EXTENSIONS = (0, 43, 60, 135)  # IPv6 headers that may precede the transport header

Flow: TypeAlias = tuple[int, int, bytes, int, int]  # version, protocol, addresses, ports


class Header(NamedTuple):
    """The fields of a packet that matter here. Ports are 0 if the protocol, or this fragment, has none."""

    version: int
    protocol: int
    addresses: bytes
    source: int
    target: int
    flags: int  # of TCP
    payload_at: int  # the offset of the payload, as far as the headers could be parsed

    @property
    def flow(self) -> Flow:
        return self[:5]


class PacketDecision(NamedTuple):
    """``delay`` is in seconds. ``corrupted_at`` in 0–1 selects the bit to flip; None if no bit is flipped."""

    lost: bool
    duplicated: bool
    corrupted_at: float | None
    delay: float
    early: bool  # the packet skips the delay


class ImpairmentModel:
    """Decides what happens to each packet of one direction, in order of arrival."""

    def __init__(self, impairment: Impairment, seed: str, direction: str) -> None:
        self._impairment = impairment
        self._seed = f"{seed}/{direction}"
        self._flows: dict[Flow, Callable[[], float]] = {}
        self._conversations: dict[tuple[int, int, int], int] = {}

    def next(self, flow: Flow) -> PacketDecision:
        """Returns the decision on the next packet of ``flow``."""
        draw = self._flows.get(flow) or self._begin(flow)
        asked = self._impairment
        lost, duplicated, early, corrupted = draw(), draw(), draw(), draw()
        position, spread = draw(), draw()
        delay = asked.delay + asked.jitter * (2 * spread - 1)
        return PacketDecision(
            lost=lost < asked.loss,
            duplicated=duplicated < asked.duplication,
            corrupted_at=position if corrupted < asked.corruption else None,
            delay=0.0 if early < asked.reordering else delay,
            early=early < asked.reordering,
        )

    def _begin(self, flow: Flow) -> Callable[[], float]:
        version, protocol, _, source, target = flow
        group = version, protocol, min(source, target)
        number = self._conversations.get(group, 0) + 1
        self._conversations[group] = number
        if len(self._flows) >= MAX_FLOWS:
            del self._flows[next(iter(self._flows))]
        key = f"{self._seed}/{version}/{protocol}/{min(source, target)}/{number}"
        draw = self._flows[flow] = random.Random(key).random  # a string seed is hashed with SHA-512
        return draw


class DropRule:
    """Counts the packets that match a Drop and decides which of them are dropped.

    It keeps the numbers of matching and of dropped packets in ``counters``, which may be shared memory.
    """

    def __init__(self, drop: Drop, counters: MutableSequence[int] | memoryview[int] | None = None) -> None:
        self._protocol = PROTOCOLS["tcp"] if drop.flags else PROTOCOLS.get(drop.protocol or "")
        self._port = drop.port
        self._flags = None if drop.flags is None else flag_bits(drop.flags)
        self._drop = drop
        self._nth = frozenset(drop.nth)
        self.counters: MutableSequence[int] | memoryview[int] = [0, 0] if counters is None else counters

    def drops(self, header: Header, direction: str) -> bool:
        """Counts the packet if it matches. Returns True if it must be dropped."""
        if not self._matches(header, direction):
            return False
        self.counters[0] += 1
        dropped = self.counters[0] in self._nth
        self.counters[1] += dropped
        return dropped

    def _matches(self, header: Header, direction: str) -> bool:
        ports = header.source, header.target
        return (
            self._drop.applies_to(direction)
            and (self._protocol is None or self._protocol == header.protocol)
            and (self._port is None or self._port in ports)
            and (self._flags is None or header.flags & (_MATCHED_FLAGS | self._flags) == self._flags)
            and PROBE_PORT not in ports
        )


def parse(packet: bytes) -> Header:
    """Parses the headers of an IP packet (RFC 791, RFC 8200) as far as they are present. Never raises."""
    version = packet[0] >> 4 if packet else 0
    if version == 4 and len(packet) >= 20:
        at, protocol, addresses = (packet[0] & 15) * 4, packet[9], packet[12:20]
        first = not (packet[6] & 31 or packet[7])
    elif version == 6 and len(packet) >= 40:
        addresses = packet[8:40]
        protocol, at, first = _skip_extensions(packet)
    else:
        return Header(version, 0, b"", 0, 0, 0, len(packet))
    if not first or protocol not in _WITH_PORTS or len(packet) < at + 4:
        return Header(version, protocol, addresses, 0, 0, 0, at)
    source, target = int.from_bytes(packet[at : at + 2]), int.from_bytes(packet[at + 2 : at + 4])
    if protocol != 6 or len(packet) < at + 14:
        return Header(version, protocol, addresses, source, target, 0, at + 8)
    return Header(
        version, protocol, addresses, source, target, packet[at + 13], at + (packet[at + 12] >> 4) * 4
    )


def flip_bit(packet: bytes, position: float) -> bytes:
    """Returns ``packet`` with one bit of its payload flipped or, without a payload, of its transport header.

    ``position`` in 0–1 selects the bit. The IP header stays intact; otherwise a router would drop the packet.
    """
    header = parse(packet)
    if not header.addresses:  # no complete IP header
        return packet
    begin = header.payload_at if header.payload_at < len(packet) else _transport_at(packet)
    if begin >= len(packet):
        return packet
    bit = int(position * (len(packet) - begin) * 8)
    changed = bytearray(packet)
    changed[begin + bit // 8] ^= 1 << bit % 8
    return bytes(changed)


def _transport_at(packet: bytes) -> int:
    return (packet[0] & 15) * 4 if packet[0] >> 4 == 4 else _skip_extensions(packet)[1]


def _skip_extensions(packet: bytes) -> tuple[int, int, bool]:
    """The transport protocol, the offset of its header, and whether this is the first fragment."""
    protocol, at, first = packet[6], 40, True
    while len(packet) >= at + 8:
        if protocol in _EXTENSIONS:
            protocol, at = packet[at], at + (packet[at + 1] + 1) * 8
        elif protocol == 44:  # a fragment
            first = first and int.from_bytes(packet[at + 2 : at + 4]) < 8
            protocol, at = packet[at], at + 8
        else:
            break
    return protocol, at, first
