"""tcpdump on a node, streamed over SSH. It runs on; each recording has a slice of its packets.

tcpdump captures from its "listening on" message on, and discards unread packets when it is stopped, so use
``wait_until_listening`` and ``flush``.
"""

from __future__ import annotations

import ipaddress
import re
import shlex
import threading
from collections.abc import Callable
from typing import Protocol

from lab.control.host import Host
from lab.control.process import deadline
from lab.evidence.packets.pcap import Frame, PcapStream

SNAPLEN = 256  # bytes kept of each packet: all headers, and the start of the payload
KERNEL_BUFFER = 8192  # KiB, for packets that tcpdump hasn't read yet
START_TIMEOUT = 10.0
FLUSH_TIMEOUT = 5.0

_COUNTS = re.compile(
    r"(\d+) packets? captured, (\d+) packets? received by filter, (\d+) packets? dropped by kernel"
)
_LISTENING = re.compile(r"listening on (\S+),")  # tcpdump writes its line in several pieces
_INTERFACE = re.compile(r"inet6? (\S+/\d+)")
_HARDWARE = re.compile(r"link/ether (\S+)")


class Slice(Protocol):
    """Takes packets of a stream."""

    def add(self, frame: Frame) -> None: ...


class CaptureStream:
    """tcpdump on one interface of a node, which is found by its address. One slice at a time has its packets;
    packets outside of slices are discarded.
    """

    def __init__(self, host: Host, address: str, *, snaplen: int = SNAPLEN, expression: str = "") -> None:
        """``expression`` is a pcap-filter(7). Raises EnvironmentFailure, HostTimeout."""
        self.host = host
        self.snaplen = snaplen
        self.expression = expression
        self.correct: Callable[[float], float] = lambda at: at  # the node's time on the controller's clock
        self.interface = ""
        self.hardware = ""  # the interface's Ethernet address
        self.addresses: list[ipaddress.IPv4Interface | ipaddress.IPv6Interface] = []
        self._command = command(address, snaplen, expression)
        self._slice: Slice | None = None
        self._taking = threading.Lock()
        self._flushing = threading.Lock()
        self._start()

    def _start(self) -> None:
        self._packets = PcapStream()
        self._taken = 0  # packets that this tcpdump has sent, and that have been handled
        self._overdue = False  # a request for tcpdump's counters wasn't answered in time
        self._process = self.host.helper(self._command, self._take)

    def wait_until_listening(self, timeout: float = START_TIMEOUT) -> None:
        """Returns when the capture has started. Raises EnvironmentFailure, HostTimeout."""
        process = self._process
        process.wait_until(lambda: _LISTENING.search(process.errors) is not None, "can't capture", timeout)
        said = process.errors
        self.addresses = [ipaddress.ip_interface(found) for found in _INTERFACE.findall(said)]
        self.interface = found[1] if (found := _LISTENING.search(said)) else ""
        self.hardware = found[1] if (found := _HARDWARE.search(said)) else ""

    @property
    def end(self) -> str:
        """The reason why tcpdump has ended; "" while it runs."""
        return self._process.last_words if self._process.ended else ""

    def restart(self) -> None:
        """Captures again after tcpdump or its host has ended. Raises EnvironmentFailure, HostTimeout."""
        self._process.signal("KILL")
        self._process.close()
        self._start()
        self.wait_until_listening()

    def pass_to(self, wanted: Slice | None) -> None:
        """From now on ``wanted`` gets the packets; None discards them."""
        with self._taking:
            self._slice = wanted

    def flush(self, timeout: float = FLUSH_TIMEOUT) -> int:
        """Returns when every packet that passed before this call has been received.

        The result is the number of packets that the kernel has dropped since tcpdump's start. tcpdump reports
        (on SIGUSR1) the numbers of packets written by it and seen by the kernel; it is asked until they are
        equal. Raises EnvironmentFailure, HostTimeout.
        """
        with self._flushing:
            process, left = self._process, deadline(timeout)
            if self._overdue:  # that answer may come now, and it is older than this call
                self._counts(left())
            while True:
                written, seen, dropped = self._counts(left())
                if written + dropped >= seen:
                    break
            received = "can't receive the captured packets"
            process.wait_until(lambda: self._taken >= written, received, left())
            return dropped

    def _counts(self, timeout: float) -> tuple[int, int, int]:
        """The packets written by tcpdump, seen by the kernel, and dropped by the kernel."""
        process, before = self._process, self._process.errors_size
        self._overdue = True
        process.signal("USR1")
        process.wait_until(
            lambda: _COUNTS.search(process.errors_from(before)) is not None,
            "can't count the packets",
            timeout,
        )
        self._overdue = False
        written, seen, dropped = _COUNTS.findall(process.errors_from(before))[-1]
        return int(written), int(seen), int(dropped)

    def stop(self) -> None:
        """Stops tcpdump. Packets that it still holds are lost: flush before."""
        self._process.signal("INT")
        self._process.finish()

    def _take(self, data: bytes) -> None:
        with self._taking:
            for at, size, frame in self._packets.feed(data):
                if self._slice is not None:
                    self._slice.add(Frame(self.correct(at), size, frame))
            self._taken = self._packets.count


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
