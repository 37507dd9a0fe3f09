"""Measures a link, together with the same code on another host, by sending numbered datagrams.

One-way delays are correct only if both hosts have the same clock, like containers on one machine.
"""

from __future__ import annotations

import select
import time
from typing import Any

from lab.link.probe_format import LATE, OVERHEAD, PROBE_SIZE, TRAIN_SIZE, build_probe, read_probe
from lab.sockets.prober import ProbeSocket

OPENER = b"open"  # makes a router that translates addresses accept the packets of the peer


class Probe:
    """The packets that one host has sent and received."""

    def __init__(self, sock: ProbeSocket) -> None:
        self._socket = sock
        self.arrivals: list[tuple[int, int]] = []  # (number, microseconds in transit)
        self.corrupted: set[bytes] = set()
        self.train: list[tuple[int, int]] = []  # (arrival in ns, bytes of the Ethernet frame)
        self.offered = 0.0  # bit/s
        self.openers = 0  # the peer's OPENERs that have arrived
        self.late = 0  # probes that were sent late, because this process wasn't scheduled in time

    def send(self, count: int, interval: float, train: int) -> None:
        """Sends ``count`` probes, one every ``interval`` seconds, and then ``train`` datagrams of TRAIN_SIZE
        bytes back to back. Receives at the same time.
        """
        due = time.monotonic()
        for number in range(count):
            self.receive(due)
            now = time.monotonic()
            self.late += now - due > LATE
            self._push(number, PROBE_SIZE)
            due = max(due, now - interval) + interval  # no burst after a pause: it would fill a slow line
        began = time.monotonic()
        for number in range(count, count + train):
            self._push(number, TRAIN_SIZE)
            if number % 16 == 0:
                self._drain()
        if train:
            self.offered = train * (TRAIN_SIZE + OVERHEAD) * 8 / (time.monotonic() - began)

    @property
    def opened(self) -> bool:
        """An OPENER of the peer has arrived."""
        return self.openers > 0

    def open(self) -> None:
        """Sends one OPENER."""
        self._socket.send(OPENER)

    def receive(self, until: float) -> None:
        """Receives until that time of the monotonic clock."""
        while True:
            self._drain()
            left = until - time.monotonic()
            if left <= 0 or not select.select([self._socket], [], [], left)[0]:
                return

    def result(self) -> dict[str, Any]:
        self._drain()
        seconds = (max(at for at, _ in self.train) - self.train[0][0]) / 1e9 if self.train else 0.0
        return {
            "arrivals": self.arrivals,
            "corrupted": len(self.corrupted),
            "overflowed": self._socket.overflowed,
            "train_bytes": sum(size for _, size in self.train[1:]),
            "train_seconds": seconds,
        }

    def _push(self, number: int, size: int) -> None:
        while not self._socket.send(build_probe(number, time.time_ns(), size)):
            select.select([], [self._socket], [], 1.0)

    def _drain(self) -> None:
        while (datagram := self._socket.receive()) is not None:
            data, at = datagram
            if data == OPENER:
                self.openers += 1
            elif len(data) > PROBE_SIZE:
                self.train.append((at, len(data) + OVERHEAD))
            elif (probe := read_probe(data)) is None:
                self.corrupted.add(data)
            else:
                self.arrivals.append((probe[0], (at - probe[1]) // 1000))
