"""Probe packets that measure a link: their number, schedule and format."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, NamedTuple

from lab.link.settings import Impairment

COUNT = 2000  # probes for each direction, fewer on a slow line
INTERVAL = 0.0005  # seconds between two probes
SPAN = 3.0  # the longest time in seconds for sending them
FEWEST = 20
LINE_SHARE = 0.25  # of a slow line's rate that probes may use, so that they don't queue behind each other
TRAIN = 0.3  # seconds of a line's capacity, sent back to back to measure its rate
TRAIN_LIMIT = 3000  # packets
OVERHEAD = 14 + 20 + 8  # bytes of Ethernet, IPv4 and UDP headers
PROBE_SIZE = 40  # bytes of UDP payload
TRAIN_SIZE = 1400
LATE = 0.001  # seconds behind its schedule after which a probe counts as sent late
LATE_SHARE = 0.01  # of the probes; if more are late, the machine is busy

_probe = struct.Struct("!IQI")  # number, time sent (ns since the epoch), CRC-32 of both and of the padding


@dataclass(frozen=True)
class Plan:
    """A host sends ``count`` probes, one every ``interval`` seconds, then ``train`` large ones at once."""

    count: int
    interval: float
    train: int

    def as_json(self) -> dict[str, Any]:
        return asdict(self)


def plan(asked: Impairment) -> Plan:
    """The probes to send in a direction with the settings ``asked``."""
    if asked.rate is None:
        return Plan(COUNT, INTERVAL, 0)
    interval = max(INTERVAL, (PROBE_SIZE + OVERHEAD) * 8 / (asked.rate * LINE_SHARE))
    packets = int(asked.rate * TRAIN / 8 / (TRAIN_SIZE + OVERHEAD))
    return Plan(max(FEWEST, min(COUNT, int(SPAN / interval))), interval, max(10, min(packets, TRAIN_LIMIT)))


def longest_transit(asked: Impairment) -> float:
    """The time in seconds after which no probe is in transit any more."""
    wait = asked.delay + asked.jitter + 0.3
    if asked.rate is not None:
        wait += plan(asked).train * (TRAIN_SIZE + OVERHEAD) * 8 / asked.rate
    return wait


class Observation(NamedTuple):
    """The probes sent in one direction, and those that arrived.

    ``arrivals`` are (number, one-way delay in seconds) in order of arrival, with duplicates. ``corrupted`` is
    the number of corrupted probes, without duplicates. ``train_bytes`` arrived within ``train_seconds``, not
    counting the first packet of the train; ``offered`` is the rate at which the train was sent, in bit/s (0
    if none was sent). ``late`` is the number of probes that were sent late, ``overflowed`` the number of
    those that didn't fit into the receiver's buffer.
    """

    sent: int
    arrivals: Sequence[tuple[int, float]]
    corrupted: int = 0
    train_bytes: int = 0
    train_seconds: float = 0.0
    offered: float = 0.0
    late: int = 0
    overflowed: int = 0

    @property
    def is_disturbed(self) -> bool:
        """True if the machine was too busy to send or receive in time.

        This depends only on the processes at both ends, not on the link.
        """
        return self.overflowed > 0 or self.late > self.sent * LATE_SHARE


def build_probe(number: int, sent_ns: int, size: int) -> bytes:
    padding = bytes(size - _probe.size)
    return _probe.pack(number, sent_ns, zlib.crc32(struct.pack("!IQ", number, sent_ns) + padding)) + padding


def read_probe(data: bytes) -> tuple[int, int] | None:
    """(number, time sent in ns); None if the probe was corrupted."""
    if len(data) < _probe.size:
        return None
    number, sent_ns, check = _probe.unpack_from(data)
    if zlib.crc32(struct.pack("!IQ", number, sent_ns) + data[_probe.size :]) != check:
        return None
    return number, sent_ns
