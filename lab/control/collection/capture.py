"""The packets of one recording on one interface: a slice of a CaptureStream, written as pcapng.

The controller's memory is bounded: in a long run a capture keeps the first and the last packets, and counts
those that it dropped in between.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from pathlib import Path

from lab.control.collection.capture_stream import FLUSH_TIMEOUT, CaptureStream
from lab.control.host import Host
from lab.errors import LabError
from lab.evidence.packets import pcap
from lab.evidence.packets.packet import Packet, decode
from lab.evidence.packets.pcap import Frame
from lab.evidence.packets.traffic import CaptureInfo

LIMIT = 8 << 20  # bytes kept of each capture, half from its start and half from its end
PER_FRAME = 120  # bytes of memory that a frame takes besides its data


class CaptureBuffer:
    """The frames of one capture, up to a limit of bytes: half for the first frames, half for the last."""

    def __init__(self, limit: int) -> None:
        self._half = limit // 2
        self._first: list[Frame] = []
        self._last: deque[Frame] = deque()
        self._first_size = self._last_size = 0
        self.cut = 0

    def add(self, frame: Frame) -> None:
        size = len(frame.data) + PER_FRAME
        if not self._last and self._first_size + size <= self._half:
            self._first.append(frame)
            self._first_size += size
            return
        self._last.append(frame)
        self._last_size += size
        while self._last_size > self._half:
            self._last_size -= len(self._last.popleft().data) + PER_FRAME
            self.cut += 1

    def frames(self) -> list[Frame]:
        return [*self._first, *self._last]

    @property
    def gap(self) -> tuple[float, float] | None:
        """The times between which packets were dropped; None if none were."""
        if not self.cut:
            return None
        start = self._first[-1].at if self._first else 0.0
        return start, self._last[0].at if self._last else float("inf")

    @property
    def settled(self) -> int:
        """The number of frames that keep their index when more are added."""
        return len(self._first) if self.cut else len(self._first) + len(self._last)


class Capture:
    """The packets that a stream captures between ``begin`` and ``end``."""

    def __init__(self, stream: CaptureStream, name: str, *, segment: str = "", limit: int = LIMIT) -> None:
        """``segment`` is "" if the node isn't a router. The stream has been listening."""
        self.about = CaptureInfo(
            name,
            f"{name}.pcapng",
            segment,
            stream.host.title,
            interface=stream.interface,
            hardware=(stream.hardware,),
            networks=tuple(str(each.network) for each in stream.addresses),
            router=tuple(str(each.ip) for each in stream.addresses),
            snaplen=stream.snaplen,
            filter=stream.expression,
        )
        self._stream = stream
        self._kept = CaptureBuffer(limit)
        self._decoded: list[Packet] = []
        self._lock = threading.Lock()
        self._dropped_before = 0  # by the kernel, before the slice began

    @property
    def host(self) -> Host:
        return self._stream.host

    def begin(self, *, fresh: bool = False) -> None:
        """The packets that pass from now on belong to it. A ``fresh`` stream has no earlier ones.

        Raises EnvironmentFailure, HostTimeout.
        """
        self._dropped_before = 0 if fresh else self._stream.flush()
        self._stream.pass_to(self)

    def correct_times(self, correct: Callable[[float], float]) -> None:
        """``correct`` turns the node's times of the packets to come into the controller's."""
        self._stream.correct = correct

    def resume(self) -> None:
        """Captures again after the host was off. ``about`` records the gap."""
        self._stream.restart()
        self.about.interface = self._stream.interface
        self.about.hardware = tuple(dict.fromkeys([*self.about.hardware, self._stream.hardware]))
        self.about.ended = "its host was off for a while"
        self._dropped_before = -self.about.dropped  # the new tcpdump counts from 0

    def flush(self, timeout: float = FLUSH_TIMEOUT) -> None:
        """Returns when every packet that passed before this call has been received.

        Raises EnvironmentFailure, HostTimeout.
        """
        self.about.dropped = self._stream.flush(timeout) - self._dropped_before

    def end(self) -> None:
        """Flushes; later packets don't belong to it. If that fails, ``about`` has the reason."""
        try:
            if end := self._stream.end:
                self.about.ended = end
            else:
                self.flush()
        except LabError as error:
            self.about.ended = str(error)
        self._stream.pass_to(None)

    def add(self, frame: Frame) -> None:
        with self._lock:
            self._kept.add(frame)

    def packets(self) -> list[Packet]:
        """The packets captured so far."""
        with self._lock:
            frames = self._frames()
            known = self._decoded[: self._kept.settled]
        new = enumerate(frames[len(known) :], len(known) + 1)
        known += [decode(frame.data, frame.at, frame.size, self.about.name, number) for number, frame in new]
        self._decoded = known
        return list(known)

    def write(self, folder: Path) -> None:
        """Writes the capture's file into ``folder``."""
        with self._lock:
            frames = self._frames()
        pcap.write(folder / self.about.file, self.about.interface, frames)

    def _frames(self) -> list[Frame]:
        """The frames kept; ``about`` gets the number of the others."""
        frames = self._kept.frames()
        self.about.packets, self.about.cut, self.about.gap = len(frames), self._kept.cut, self._kept.gap
        return frames
