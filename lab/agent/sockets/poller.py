"""Polls this host's sockets and counters, and prints each change as a JSON object on one line.

The controller runs it on each node for the duration of a run. It exits at end of file on standard input. It
answers an empty line on standard input with this host's clock, for comparison with those of other hosts, and
with the number of packets queued in the kernel. Then it polls at once, so when a second line has been
answered, all changes before the first one have been printed.

    python3 -P -m lab.agent.sockets.poller --address 192.168.40.129

It doesn't report the controller's connection (the port of SSH_CONNECTION, except on the addresses given),
the probes that measure the link, or Docker's resolver.
Exit codes: 0 ok, 2 invalid use, 3 no sock_diag in this kernel.
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
from pathlib import Path
from typing import Any, TypeAlias

from lab.agent.sockets.tracker import SSH_PORT, CounterTracker, SocketTracker, counters, owner
from lab.programs import console
from lab.sockets.netlink import sockdiag

INTERVAL = 0.005  # seconds between two polls
SHARE = 0.1  # of one core, at most: a slow poll is followed by a longer pause
COUNTER_INTERVAL = 0.1  # seconds
MAX_REPORTS = 50_000  # then it prints "cut" and only answers with the clock

Report: TypeAlias = Callable[[dict[str, Any]], None]


def _sockets(diag: sockdiag.SockDiag) -> Iterator[tuple[int, bytes]]:
    for protocol in (sockdiag.TCP, sockdiag.UDP):
        for family in (socket.AF_INET, socket.AF_INET6):
            for raw in diag.dump(protocol, family):
                yield protocol, raw


class SocketPoller:
    """Polls repeatedly, and answers requests for the clock in between."""

    def __init__(self, addresses: Sequence[str], interval: float, report: Report) -> None:
        self._diag = sockdiag.SockDiag()
        self._sockets = SocketTracker(addresses, owner, ssh_port())
        self._counters = CounterTracker(counters())
        self._counters_due = 0.0
        self._interval = interval
        self._report = report
        self._left = MAX_REPORTS

    def run(self) -> None:
        """Returns after end of file on standard input, when the last changes have been printed."""
        pause = 0.0
        while self._pause(pause):
            pause = self._poll(final=False)
        self._poll(final=True)

    def _poll(self, *, final: bool) -> float:
        """Reports the changes, and returns how many seconds to pause now."""
        started = time.thread_time()  # CPU time: on a busy machine a poll takes long but costs little
        now = time.time()
        if self._left > 0:
            for report in self._sockets.poll(now, _sockets(self._diag)):
                self._report_change(report)
        if final or now >= self._counters_due:
            self._counters_due = now + COUNTER_INTERVAL
            for report in self._counters.poll(now, counters()):
                self._report(report)
        sys.stdout.flush()
        return max(self._interval, (time.thread_time() - started) / SHARE)

    def _report_change(self, report: dict[str, Any]) -> None:
        self._left -= 1
        if self._left >= 0:
            self._report(report)
        if self._left == 0:
            self._report({"at": report["at"], "cut": MAX_REPORTS})

    def _pause(self, seconds: float) -> bool:
        """Waits for requests for the clock and answers them. Returns False at end of file."""
        if select.select([0], [], [], seconds)[0]:
            asked = os.read(0, 64)
            for _ in range(asked.count(b"\n")):
                self._report({"clock": time.time(), "backlog": backlog()})
            sys.stdout.flush()
            return bool(asked)
        return True


def backlog() -> int:
    """Packets that this kernel has received but not processed yet; 0 if it is unknown.

    It is the twelfth column of /proc/net/softnet_stat, in hexadecimal, one line for each CPU (Linux 5.10).
    """
    with suppress(OSError, IndexError, ValueError):
        lines = Path("/proc/net/softnet_stat").read_text().splitlines()
        return sum(int(line.split()[11], 16) for line in lines)
    return 0


def ssh_port() -> int:
    """The port of the SSH server that started this program; see SSH_CONNECTION in ssh(1)."""
    words = os.environ.get("SSH_CONNECTION", "").split()
    return int(words[3]) if len(words) == 4 else SSH_PORT


def boot_id() -> str:
    """Identifies the running kernel, and with it the clock: hosts that share a kernel have the same id."""
    with suppress(OSError):
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    return ""


def print_report(report: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(report) + "\n")


def program() -> int | None:
    parser = console.Parser(prog="socket_poller", description=__doc__)
    parser.add_argument("--address", action="append", default=[], help="address of this host on a segment")
    parser.add_argument("--interval", type=console.positive_seconds, default=INTERVAL, help="seconds")
    options = parser.parse_args()
    poller = SocketPoller(options.address, options.interval, print_report)
    print_report({"watching": boot_id(), "clock": time.time()})
    sys.stdout.flush()
    poller.run()
    return None


if __name__ == "__main__":
    console.main("socket_poller", program)
