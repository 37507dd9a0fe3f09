"""Compares the kernel's sockets and counters with those seen before, and reports the differences."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from typing import Any

from lab.agent.clock import read
from lab.link import PROBE_PORT
from lab.sockets.address import format_endpoint
from lab.sockets.netlink import sockdiag
from lab.sockets.netlink.sockdiag import Sample

QUEUE_INTERVAL = 0.05  # seconds between two reports of a socket's queues while its state stays the same
SSH_PORT = 22  # of the controller's connection, unless it is given
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


class SocketSnapshot:
    """A socket as it was last reported."""

    __slots__ = ("number", "reported", "sample", "seen")

    def __init__(self, number: int, seen: bytes, sample: Sample, reported: float) -> None:
        """``seen`` is sockdiag.changing() of it."""
        self.number, self.seen, self.sample, self.reported = number, seen, sample, reported


class SocketTracker:
    """Compares the sockets with those of the previous poll. No I/O: time and sockets are arguments."""

    def __init__(
        self,
        addresses: Sequence[str],
        owner: Callable[[int], dict[str, Any]],
        ssh_port: int = SSH_PORT,
    ) -> None:
        self._addresses = frozenset(addresses)
        self._ssh_port = ssh_port
        self._owner = owner
        self._known: dict[Any, SocketSnapshot] = {}
        self._ignored: set[Any] = set()
        self._count = 0

    def poll(self, now: float, sockets: Iterator[tuple[int, bytes]]) -> Iterator[dict[str, Any]]:
        """Reports the sockets that were opened, changed or closed since the previous poll."""
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
        return self._ssh_port not in (sample.local[1], sample.remote[1]) or sample.local[0] in self._addresses

    def _held_by(self, sample: Sample) -> dict[str, Any]:
        """The process that has a listening or UDP socket open. The search takes a millisecond."""
        passive = sample.protocol == sockdiag.UDP or sockdiag.STATES.get(sample.state) == "LISTEN"
        return self._owner(sample.inode) if passive and sample.inode else {}

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
    """The process that has the socket ``inode`` open; {} if this user has no permission to see it."""
    wanted = f"socket:[{inode}]"
    for process in filter(str.isdigit, os.listdir("/proc")):
        with suppress(OSError):  # it has exited, or is another user's
            for descriptor in os.listdir(f"/proc/{process}/fd"):
                if os.readlink(f"/proc/{process}/fd/{descriptor}") == wanted:
                    command = read(f"/proc/{process}/cmdline")
                    return {"pid": int(process), "command": _words(command)}
    return {}


def _words(command: bytes) -> str:
    return command.replace(b"\0", b" ").decode(errors="backslashreplace").strip()[:200]


def counters() -> dict[str, int]:
    """The COUNTERS that this kernel has, with their values since boot."""
    found: dict[str, int] = {}
    for file in ("/proc/net/snmp", "/proc/net/netstat"):
        lines = read(file).decode().splitlines()
        for names, values in zip(lines[::2], lines[1::2], strict=True):
            group, _, rest = names.partition(": ")
            numbers = values.partition(": ")[2].split()
            found |= {f"{group}.{name}": int(n) for name, n in zip(rest.split(), numbers, strict=True)}
    with suppress(OSError):  # a kernel without IPv6
        for line in read("/proc/net/snmp6").decode().splitlines():
            name, value = line.split()
            if name.startswith("Udp6"):
                found[f"Udp6.{name.removeprefix('Udp6')}"] = int(value)
    return {name: found[name] for name in COUNTERS if name in found}


class CounterTracker:
    """Reports the counters that changed since the previous poll."""

    def __init__(self, values: dict[str, int]) -> None:
        self._values = values

    def poll(self, now: float, values: dict[str, int]) -> Iterator[dict[str, Any]]:
        for name, value in values.items():
            change = value - self._values.get(name, value)
            if change:
                yield {"at": now, "counter": name, "value": value, "change": change}
        self._values = values
