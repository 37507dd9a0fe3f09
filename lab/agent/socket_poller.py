"""Watches this host's sockets and counters, and says what changed, one JSON object a line.

The controller starts it on each node for the length of a run; it ends when its standard input does.
An empty line on standard input is answered with this host's clock, to compare it with another one, and
with the number of packets that wait in its kernel. Then the sockets are looked at at once: a second answer
says that all changes before the first are told.

    python3 -m lab.agent.socket_poller --address 192.168.40.129

Left out: the controller's way in (port 22, except on the addresses given), the probes that measure the
link, and Docker's resolver.
Exit codes: 0 ok, 2 wrong use, 3 no sock_diag in this kernel.
"""

from __future__ import annotations

import json
import os
import select
import socket
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

from lab.link.impairment_model import PROBE_PORT
from lab.programs import console
from lab.sockets import sockdiag
from lab.sockets.address import format_endpoint
from lab.sockets.sockdiag import Sample

INTERVAL = 0.005  # seconds between two looks
SHARE = 0.1  # of one core, at the most: a look that takes long is followed by a longer rest
QUEUE_INTERVAL = 0.05  # seconds between two reports of one socket's queues, while its state stays
COUNTER_INTERVAL = 0.1
MAX_REPORTS = 50_000  # after these it says "cut" and only answers the clock
SSH_PORT = 22
RESOLVER = "127.0.0.11"  # Docker's

COUNTERS = (
    "Ip.OutNoRoutes", "Ip.ReasmFails", "Ip.FragFails",
    "Tcp.AttemptFails", "Tcp.EstabResets", "Tcp.RetransSegs", "Tcp.OutRsts",
    "Udp.NoPorts", "Udp.InErrors", "Udp.RcvbufErrors", "Udp.SndbufErrors",
    "Udp6.NoPorts", "Udp6.InErrors", "Udp6.RcvbufErrors", "Udp6.SndbufErrors",
    "TcpExt.ListenOverflows", "TcpExt.ListenDrops", "TcpExt.TCPReqQFullDrop", "TcpExt.TCPAbortOnData",
    "TcpExt.TCPAbortOnClose", "TcpExt.TCPAbortOnTimeout", "TcpExt.TCPTimeouts", "TcpExt.TCPZeroWindowDrop",
    "TcpExt.TCPToZeroWindowAdv", "TcpExt.TCPRcvQDrop", "TcpExt.SyncookiesSent",
)  # fmt: skip

Say: TypeAlias = Callable[[dict[str, Any]], None]


@dataclass(slots=True)
class SocketSnapshot:
    """A socket as it was last reported."""

    number: int
    seen: bytes  # what sockdiag.changing() was then
    sample: Sample
    reported: float


class Tracker:
    """Compares each look at the sockets with the one before. No I/O: time and sockets are told to it."""

    def __init__(self, addresses: Sequence[str], owner: Callable[[int], dict[str, Any]]) -> None:
        self._addresses = frozenset(addresses)
        self._owner = owner
        self._known: dict[Any, SocketSnapshot] = {}
        self._ignored: set[Any] = set()
        self._count = 0

    def look(self, now: float, sockets: Iterator[tuple[int, bytes]]) -> Iterator[dict[str, Any]]:
        """Reports what changed since the last look: sockets that are new, changed, or gone."""
        present = set()
        for protocol, raw in sockets:
            key = sockdiag.identity(protocol, raw)
            present.add(key)
            if key not in self._ignored:
                yield from self._compare(now, key, protocol, raw)
        for key in [key for key in self._known if key not in present]:
            gone = self._known.pop(key)
            yield self._report(now, gone, gone.sample, state="")
        self._ignored &= present

    def _compare(self, now: float, key: Any, protocol: int, raw: bytes) -> Iterator[dict[str, Any]]:
        known, seen = self._known.get(key), sockdiag.changing(raw)
        if known is not None and known.seen == seen:
            return
        sample = sockdiag.parse(protocol, raw)
        if known is None:
            if not self._concerns_the_lab(sample):
                self._ignored.add(key)
                return
            self._count += 1
            known = self._known[key] = SocketSnapshot(self._count, seen, sample, now)
            yield self._report(now, known, sample, was="") | self._held_by(sample)
        elif known.sample.state != sample.state or now - known.reported >= QUEUE_INTERVAL:
            yield self._report(now, known, sample)
            known.seen, known.sample, known.reported = seen, sample, now

    def _concerns_the_lab(self, sample: Sample) -> bool:
        if sample.local[0] == RESOLVER or sample.local[1] == PROBE_PORT:
            return False
        return SSH_PORT not in (sample.local[1], sample.remote[1]) or sample.local[0] in self._addresses

    def _held_by(self, sample: Sample) -> dict[str, Any]:
        """The process of a socket that others may wait for or run into. Looking costs a millisecond."""
        waits = sample.protocol == sockdiag.UDP or sockdiag.STATES.get(sample.state) == "LISTEN"
        return self._owner(sample.inode) if waits and sample.inode else {}

    def _report(
        self,
        now: float,
        known: SocketSnapshot,
        sample: Sample,
        state: str | None = None,
        was: str | None = None,
    ) -> dict[str, Any]:
        udp = sample.protocol == sockdiag.UDP
        return {
            "at": now,
            "id": known.number,
            "protocol": "udp" if udp else "tcp",
            "family": 4 if sample.family == socket.AF_INET else 6,
            "local": format_endpoint(sample.local),
            "remote": format_endpoint(sample.remote),
            "state": _state(sample) if state is None else state,
            "was": _state(known.sample) if was is None else was,
            "receive_queue": sample.receive_queue,
            "send_queue": sample.send_queue,
        }


def _state(sample: Sample) -> str:
    if sample.protocol == sockdiag.UDP:
        return "CONNECTED" if sample.state == 1 else "OPEN"
    return sockdiag.STATES.get(sample.state, str(sample.state))


def owner(inode: int) -> dict[str, Any]:
    """The process that holds the socket ``inode``, as far as this user may see it."""
    wanted = f"socket:[{inode}]"
    for process in filter(str.isdigit, os.listdir("/proc")):
        with suppress(OSError):  # gone meanwhile, or another user's
            for descriptor in os.listdir(f"/proc/{process}/fd"):
                if os.readlink(f"/proc/{process}/fd/{descriptor}") == wanted:
                    command = Path(f"/proc/{process}/cmdline").read_bytes()
                    return {"pid": int(process), "command": _words(command)}
    return {}


def _words(command: bytes) -> str:
    return command.replace(b"\0", b" ").decode(errors="backslashreplace").strip()[:200]


def counters() -> dict[str, int]:
    """The counters in COUNTERS that this kernel has, since boot."""
    found: dict[str, int] = {}
    for file in ("/proc/net/snmp", "/proc/net/netstat"):
        lines = Path(file).read_text().splitlines()
        for names, values in zip(lines[::2], lines[1::2], strict=True):
            group, _, rest = names.partition(": ")
            numbers = values.partition(": ")[2].split()
            found |= {f"{group}.{name}": int(n) for name, n in zip(rest.split(), numbers, strict=True)}
    with suppress(OSError):  # a kernel without IPv6
        for line in Path("/proc/net/snmp6").read_text().splitlines():
            name, value = line.split()
            if name.startswith("Udp6"):
                found[f"Udp6.{name.removeprefix('Udp6')}"] = int(value)
    return {name: found[name] for name in COUNTERS if name in found}


class CounterTracker:
    """Reports counters that moved since the last look."""

    def __init__(self, values: dict[str, int]) -> None:
        self._values = values

    def look(self, now: float, values: dict[str, int]) -> Iterator[dict[str, Any]]:
        for name, value in values.items():
            change = value - self._values.get(name, value)
            if change:
                yield {"at": now, "counter": name, "value": value, "change": change}
        self._values = values


def _sockets(diag: sockdiag.SockDiag) -> Iterator[tuple[int, bytes]]:
    for protocol in (sockdiag.TCP, sockdiag.UDP):
        for family in (socket.AF_INET, socket.AF_INET6):
            for raw in diag.dump(protocol, family):
                yield protocol, raw


class SocketPoller:
    """Looks again and again, and answers the clock in between."""

    def __init__(self, addresses: Sequence[str], interval: float, say: Say) -> None:
        self._diag = sockdiag.SockDiag()
        self._sockets = Tracker(addresses, owner)
        self._counters = CounterTracker(counters())
        self._counters_due = 0.0
        self._interval = interval
        self._say = say
        self._left = MAX_REPORTS

    def run(self) -> None:
        """Returns when standard input ends; by then the last changes are told."""
        rest = 0.0
        while self._listen(rest):
            rest = self._look(final=False)
        self._look(final=True)

    def _look(self, *, final: bool) -> float:
        """Reports what changed, and returns how long to rest now."""
        started = (
            time.thread_time()
        )  # not the clock: on a busy machine a look takes long without costing much
        now = time.time()
        if self._left > 0:
            for report in self._sockets.look(now, _sockets(self._diag)):
                self._tell(report)
        if final or now >= self._counters_due:
            self._counters_due = now + COUNTER_INTERVAL
            for report in self._counters.look(now, counters()):
                self._say(report)
        sys.stdout.flush()
        return max(self._interval, (time.thread_time() - started) / SHARE)

    def _tell(self, report: dict[str, Any]) -> None:
        self._left -= 1
        if self._left >= 0:
            self._say(report)
        if self._left == 0:
            self._say({"at": report["at"], "cut": MAX_REPORTS})

    def _listen(self, seconds: float) -> bool:
        """Rests, unless it is asked for the clock. False at the end of standard input."""
        if select.select([0], [], [], seconds)[0]:
            asked = os.read(0, 64)
            for _ in range(asked.count(b"\n")):
                self._say({"clock": time.time(), "backlog": backlog()})
            sys.stdout.flush()
            return bool(asked)
        return True


def backlog() -> int:
    """Packets that this kernel's processors have received and not looked at; 0 where it can't be told.

    /proc/net/softnet_stat has it in its twelfth column, in hexadecimal, one line a processor (Linux 5.10).
    """
    with suppress(OSError, IndexError, ValueError):
        lines = Path("/proc/net/softnet_stat").read_text().splitlines()
        return sum(int(line.split()[11], 16) for line in lines)
    return 0


def boot_id() -> str:
    """The same on all hosts that share a kernel, and so a clock."""
    with suppress(OSError):
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    return ""


def say(report: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(report) + "\n")


def program() -> int | None:
    parser = console.Parser(prog="socket_poller", description=__doc__)
    parser.add_argument("--address", action="append", default=[], help="of this host, on a segment")
    parser.add_argument("--interval", type=console.positive_seconds, default=INTERVAL, help="seconds")
    options = parser.parse_args()
    watcher = SocketPoller(options.address, options.interval, say)
    say({"watching": boot_id(), "clock": time.time()})
    sys.stdout.flush()
    watcher.run()
    return None


if __name__ == "__main__":
    console.main("socket_poller", program)
