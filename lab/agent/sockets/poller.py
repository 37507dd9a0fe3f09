"""Polls this host's sockets and counters while the controller watches, and reports each change.

The ops ``watch``, ``poll`` and ``unwatch``. The controller's own connection isn't reported (the port of
SSH_CONNECTION, except on the addresses that the controller gives), nor are the probes that measure the link,
nor Docker's resolver.
"""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, TypeAlias

from lab.agent.clock import clock
from lab.agent.lines import USAGE, JsonObject, Refused
from lab.agent.sockets.tracker import SSH_PORT, CounterTracker, SocketTracker, counters, owner
from lab.sockets.netlink import sockdiag

if TYPE_CHECKING:
    from lab.agent.agent import Agent

INTERVAL = 0.005  # seconds between two polls
SHARE = 0.1  # of one core, at most: a slow poll is followed by a longer pause
COUNTER_INTERVAL = 0.1  # seconds
MAX_REPORTS = 50_000  # then it reports "cut", and no more sockets
MAX_INTERVAL = 60.0

Report: TypeAlias = Callable[[dict[str, Any]], None]


def watch(agent: Agent, request: JsonObject) -> JsonObject:
    """Starts again from scratch: all present sockets are reported. The answer is that of ``clock``."""
    addresses, interval = request.get("addresses", []), request.get("interval", INTERVAL)
    if not isinstance(addresses, list) or not all(isinstance(address, str) for address in addresses):
        raise Refused("addresses must be a list of strings", USAGE)
    if type(interval) not in (int, float) or not 0 < interval <= MAX_INTERVAL:
        raise Refused(f"interval must be more than 0 and at most {MAX_INTERVAL:g} seconds", USAGE)
    unwatch(agent, request)
    agent.poller = SocketPoller(addresses, interval, agent.report)
    return clock(agent, request)


def poll(agent: Agent, request: JsonObject) -> JsonObject:
    """Polls at once, so that all changes before this request are reported before its answer, a ``clock``."""
    if agent.poller is None:
        raise Refused("nothing is watched", USAGE)
    agent.poller.poll(final=True)
    return clock(agent, request)


def unwatch(agent: Agent, request: JsonObject) -> JsonObject:
    """Reports the last changes, and ends the polling."""
    if agent.poller is not None:
        agent.poller.poll(final=True)
        agent.poller.close()
        agent.poller = None
    return {}


class SocketPoller:
    """Polls the sockets and counters whenever it is due."""

    def __init__(self, addresses: Sequence[str], interval: float, report: Report) -> None:
        """``interval`` is in seconds. Raises OSError if the kernel has no sock_diag."""
        self.due = 0.0  # the time of the next poll, on the monotonic clock
        self._diag = sockdiag.SockDiag()
        self._sockets = SocketTracker(addresses, owner, ssh_port())
        self._counters = CounterTracker(counters())
        self._counters_due = 0.0
        self._interval = interval
        self._report = report
        self._left = MAX_REPORTS

    def poll(self, *, final: bool = False) -> None:
        """Reports the changes since the previous poll; with ``final`` those of the counters in any case."""
        started = time.thread_time()  # CPU time: on a busy machine a poll takes long but costs little
        now = time.time()
        if self._left > 0:
            for report in self._sockets.poll(now, _sockets(self._diag)):
                self._report_change(report)
        if final or now >= self._counters_due:
            self._counters_due = now + COUNTER_INTERVAL
            for report in self._counters.poll(now, counters()):
                self._report(report)
        pause = max(self._interval, (time.thread_time() - started) / SHARE)
        self.due = time.monotonic() + pause

    def close(self) -> None:
        self._diag.close()

    def _report_change(self, report: dict[str, Any]) -> None:
        self._left -= 1
        if self._left >= 0:
            self._report(report)
        if self._left == 0:
            self._report({"at": report["at"], "cut": MAX_REPORTS})


def _sockets(diag: sockdiag.SockDiag) -> Iterator[tuple[int, bytes]]:
    for protocol in (sockdiag.TCP, sockdiag.UDP):
        for family in (socket.AF_INET, socket.AF_INET6):
            for raw in diag.dump(protocol, family):
                yield protocol, raw


def ssh_port() -> int:
    """The port of the SSH server that started this program; see SSH_CONNECTION in ssh(1)."""
    words = os.environ.get("SSH_CONNECTION", "").split()
    return int(words[3]) if len(words) == 4 else SSH_PORT
