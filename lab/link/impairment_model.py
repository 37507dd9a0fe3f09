"""What happens to each packet: decided from a seed and the packet's place in its conversation, nothing else.

The strategy: the fate of a packet is a function of
    the seed, the direction, the IP version, the protocol, the lower of its two port numbers,
    the number k of its conversation among those with the same of all these, in order of appearance, and
    its own number n in that conversation and direction.
So neither time, nor addresses, nor a client's ephemeral port, nor what other programs send can change it.
Each packet costs six draws whatever is asked, so a setting that is added moves no other one's choices.
"""

from __future__ import annotations

import random
from collections.abc import Callable, MutableSequence
from typing import NamedTuple, TypeAlias

from lab.link.settings import BOTH, PROTOCOLS, Drop, Impairment, flag_bits

MAX_FLOWS = 8192  # conversations remembered; past it the oldest is forgotten
HEADERS = 96  # bytes of a packet that suffice to see its ports and flags
PROBE_PORT = 61_987  # the lab's own probes; they are impaired like all packets, but no Drop counts them

_JUDGED_FLAGS = flag_bits("SYN+ACK+FIN+RST")
_WITH_PORTS = (6, 17, 132, 136)
_EXTENSIONS = (0, 43, 60, 135)  # IPv6 headers that may stand before the transport's

Flow: TypeAlias = tuple[int, int, bytes, int, int]  # version, protocol, addresses, source port, target port


class Header(NamedTuple):
    """What is looked at in a packet. Ports are 0 where the protocol, or this fragment, has none."""

    version: int
    protocol: int
    addresses: bytes
    source: int
    target: int
    flags: int  # of TCP
    payload_at: int  # behind the transport header, as far as it is known

    @property
    def flow(self) -> Flow:
        return self[:5]


class PacketDecision(NamedTuple):
    """``delay`` in seconds. ``corrupted_at`` in 0–1: where among the bits that may be flipped; or None."""

    lost: bool
    duplicated: bool
    corrupted_at: float | None
    delay: float
    early: bool  # it skips the delay


class ImpairmentModel:
    """Gives the packets of one direction their fates, in the order in which they come."""

    def __init__(self, impairment: Impairment, seed: str, direction: str) -> None:
        self._impairment = impairment
        self._seed = f"{seed}/{direction}"
        self._flows: dict[Flow, Callable[[], float]] = {}
        self._conversations: dict[tuple[int, int, int], int] = {}

    def next(self, flow: Flow) -> PacketDecision:
        """The fate of the next packet of ``flow``."""
        draw = self._flows.get(flow) or self._begin(flow)
        asked = self._impairment
        lost, doubled, early, bad = draw(), draw(), draw(), draw()
        where, spread = draw(), draw()
        delay = asked.delay + asked.jitter * (2 * spread - 1)
        return PacketDecision(
            lost=lost < asked.loss,
            duplicated=doubled < asked.duplication,
            corrupted_at=where if bad < asked.corruption else None,
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
        draw = self._flows[flow] = random.Random(key).random  # a text is hashed with SHA-512
        return draw


class DropRule:
    """Counts the packets that match one Drop, and says which of them it takes.

    ``counted`` is where it writes how many matched, and how many it took: maybe memory that others read.
    """

    def __init__(self, drop: Drop, counted: MutableSequence[int] | memoryview[int] | None = None) -> None:
        self._protocol = PROTOCOLS["tcp"] if drop.flags else PROTOCOLS.get(drop.protocol or "")
        self._port = drop.port
        self._flags = None if drop.flags is None else flag_bits(drop.flags)
        self._direction = drop.direction
        self._nth = frozenset(drop.nth)
        self.counted: MutableSequence[int] | memoryview[int] = [0, 0] if counted is None else counted

    def takes(self, header: Header, direction: str) -> bool:
        """Whether this packet, which is counted where it matches, is one to drop."""
        if not self._matches(header, direction):
            return False
        self.counted[0] += 1
        taken = self.counted[0] in self._nth
        self.counted[1] += taken
        return taken

    def _matches(self, header: Header, direction: str) -> bool:
        ports = header.source, header.target
        return (
            self._direction in (BOTH, direction)
            and (self._protocol is None or self._protocol == header.protocol)
            and (self._port is None or self._port in ports)
            and (self._flags is None or header.flags & (_JUDGED_FLAGS | self._flags) == self._flags)
            and PROBE_PORT not in ports
        )


def parse(packet: bytes) -> Header:
    """The header of an IP packet (RFC 791, RFC 8200), or as much as there is of it; never raises."""
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


def flip_bit(packet: bytes, where: float) -> bytes:
    """``packet`` with one bit flipped: of what it carries or, where that is nothing, of its transport header.

    ``where`` in 0–1 says which. The IP header stays whole, else a router would drop the packet on its way.
    """
    header = parse(packet)
    if not header.addresses:  # no whole IP header
        return packet
    begin = header.payload_at if header.payload_at < len(packet) else _transport_at(packet)
    if begin >= len(packet):
        return packet
    bit = int(where * (len(packet) - begin) * 8)
    changed = bytearray(packet)
    changed[begin + bit // 8] ^= 1 << bit % 8
    return bytes(changed)


def _transport_at(packet: bytes) -> int:
    return (packet[0] & 15) * 4 if packet[0] >> 4 == 4 else _skip_extensions(packet)[1]


def _skip_extensions(packet: bytes) -> tuple[int, int, bool]:
    """The transport's protocol number, where it begins, and whether this is no later fragment."""
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
