"""Captures: tcpdump on a node, streamed over SSH while it runs, and written as pcapng.

tcpdump captures from its "listening on" message on, and discards unread packets when it is stopped, so use
``wait_until_listening`` and ``flush``. The controller's memory is bounded: in a long run a capture keeps the
first and the last packets, and counts those that it dropped in between.
"""

from __future__ import annotations

import ipaddress
import re
import shlex
import threading
from collections import deque
from collections.abc import Callable
from pathlib import Path

from lab.control.host import Host
from lab.control.process import deadline
from lab.errors import LabError
from lab.evidence.packets import pcap
from lab.evidence.packets.packet import Packet, decode
from lab.evidence.packets.pcap import Frame, PcapStream
from lab.evidence.packets.traffic import CaptureInfo

SNAPLEN = 256  # bytes kept of each packet: all headers, and the start of the payload
LIMIT = 8 << 20  # bytes kept of each capture, half from its start and half from its end
KERNEL_BUFFER = 8192  # KiB, for packets that tcpdump hasn't read yet
START_TIMEOUT = 10.0
FLUSH_TIMEOUT = 5.0
PER_FRAME = 120  # bytes of memory that a frame takes besides its data

_COUNTS = re.compile(
    r"(\d+) packets? captured, (\d+) packets? received by filter, (\d+) packets? dropped by kernel"
)
_LISTENING = re.compile(r"listening on (\S+),")  # tcpdump writes its line in several pieces
_INTERFACE = re.compile(r"inet6? (\S+/\d+)")
_HARDWARE = re.compile(r"link/ether (\S+)")


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
    """The packets on one interface of a node; the interface is found by its address."""

    def __init__(
        self,
        host: Host,
        name: str,
        address: str,
        *,
        segment: str = "",
        snaplen: int = SNAPLEN,
        limit: int = LIMIT,
        expression: str = "",
        correct: Callable[[float], float] = lambda at: at,
    ) -> None:
        """``segment`` is "" if the node isn't a router. ``expression`` is a pcap-filter(7). ``correct`` turns
        the node's time into the controller's.
        """
        self.about = CaptureInfo(
            name, f"{name}.pcapng", segment, host.title, snaplen=snaplen, filter=expression
        )
        self.host = host
        self.correct = correct
        self._stream = PcapStream()
        self._kept = CaptureBuffer(limit)
        self._decoded: list[Packet] = []
        self._lock = threading.Lock()
        self._command = command(address, snaplen, expression)
        self._process = host.helper(self._command, self._take)

    def resume(self) -> None:
        """Captures again after the host was off. ``about`` records the gap."""
        self._stream = PcapStream()
        self._process = self.host.helper(self._command, self._take)
        self.wait_until_listening()
        self.about.ended = "its host was off for a while"

    def wait_until_listening(self, timeout: float = START_TIMEOUT) -> None:
        """Returns when the capture has started. Raises EnvironmentFailure, HostTimeout."""
        process = self._process
        process.wait_until(lambda: _LISTENING.search(process.errors) is not None, "can't capture", timeout)
        interfaces = [ipaddress.ip_interface(found) for found in _INTERFACE.findall(process.errors)]
        self.about.networks = tuple(str(interface.network) for interface in interfaces)
        self.about.router = tuple(str(interface.ip) for interface in interfaces)
        hardware = [*self.about.hardware, *_HARDWARE.findall(process.errors)]
        self.about.hardware = tuple(dict.fromkeys(hardware))
        found = _LISTENING.search(process.errors)
        self.about.interface = found[1] if found else ""

    def flush(self, timeout: float = FLUSH_TIMEOUT) -> None:
        """Returns when every packet that passed before this call has been received.

        tcpdump reports (on SIGUSR1) the numbers of packets written by it and seen by the kernel; it is
        asked until they are equal. Raises EnvironmentFailure, HostTimeout.
        """
        process, left = self._process, deadline(timeout)
        while True:
            written, seen, dropped = self._counts(left())
            if written + dropped >= seen:
                break
        process.wait_until(
            lambda: self._stream.count >= written, "can't receive the captured packets", left()
        )
        self.about.dropped = dropped

    def _counts(self, timeout: float) -> tuple[int, int, int]:
        """The packets written by tcpdump, seen by the kernel, and dropped by the kernel."""
        process, before = self._process, len(_COUNTS.findall(self._process.errors))
        process.signal("USR1")
        process.wait_until(
            lambda: len(_COUNTS.findall(process.errors)) > before, "can't count the packets", timeout
        )
        written, seen, dropped = _COUNTS.findall(process.errors)[-1]
        return int(written), int(seen), int(dropped)

    def stop(self) -> None:
        """Flushes and stops the capture. If that fails, ``about`` has the reason; packets are kept."""
        if self._process.ended:
            self.about.ended = self._process.last_words
        try:
            if not self._process.ended:
                self.flush()
        except LabError as error:
            self.about.ended = str(error)
        self._process.signal("INT")
        self._process.finish()

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

    def _take(self, data: bytes) -> None:
        with self._lock:
            for at, size, frame in self._stream.feed(data):
                self._kept.add(Frame(self.correct(at), size, frame))


def command(address: str, snaplen: int, expression: str = "", *, output: str = "-w -") -> str:
    """The shell command: find the interface with ``address``, print its addresses, capture on it."""
    tcpdump = (
        f'exec tcpdump -i "$2" -n --immediate-mode -s {snaplen} -B {KERNEL_BUFFER} -U {output}'
        f" -- {shlex.quote(expression)}"
    )
    return (
        f"set -- $(ip -o address show to {shlex.quote(address)}); "
        f'[ "$2" ] || {{ echo "no interface has {address}" >&2; exit 3; }}; '
        f'ip -o address show dev "$2" scope global >&2; ip -o link show dev "$2" >&2; {tcpdump}'
    )
