"""Socket states and kernel counters of a node over time, as events on the controller's clock.

lab.agent.socket_poller runs on each node. It also reports the node's clock, which differs from the
controller's if the Docker Engine runs on another machine.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import replace
from typing import Any

from lab.control.collection.clock import Clock, boot_id, compare
from lab.control.host import Host
from lab.control.process import HelperProcess, agent, deadline
from lab.errors import EnvironmentFailure, LabError
from lab.evidence.event_json import build
from lab.evidence.events import CounterChanged, Event, Note, Observe, SocketChanged

START_TIMEOUT = 10.0
QUIET_TIMEOUT = 0.5
FLUSH_TIMEOUT = 2.0  # a frozen host doesn't answer
CLOCK_READINGS = 5
PROGRAM = agent("socket_poller")
MAX_LINE = 1 << 16  # bytes; a report has a few hundred
ROUTER_INTERVAL = 0.05  # seconds between two polls of a router, which has few sockets of its own


class SocketMonitor:
    """The socket poller of one node. It is started at once; ``begin`` lets its events through."""

    def __init__(self, host: Host, observe: Observe) -> None:
        """Raises EnvironmentFailure, HostTimeout."""
        self.host = host
        self.clock = Clock()
        self.boot_id = ""
        self.ended = ""  # the reason, if it ended before the run did
        self._observe = observe
        self._rest = b""
        self._answers: list[tuple[float, float]] = []  # the node's time, and ours when it arrived
        self._backlog = 0  # packets waiting in the node's kernel
        self._held: list[dict[str, Any]] = []  # reports that came before the clock was known
        self._passing = False
        self._lock = threading.Lock()
        self._alive: dict[int, SocketChanged] = {}  # sockets by number, as last reported
        self._process = self._start()

    def _start(self) -> HelperProcess:
        node = self.host.node
        addresses = (*node.addresses, *node.addresses6) if self.host.ssh_for_scenarios else ()
        words = [f"--address {address}" for address in addresses]
        words += [f"--interval {ROUTER_INTERVAL}"] if node.role == "router" else []
        return self.host.helper(" ".join([PROGRAM, *words]), self._take)

    def wait_until_watching(self, timeout: float = START_TIMEOUT) -> None:
        """Returns when it is polling and its clock has been read. Raises EnvironmentFailure, HostTimeout."""
        process, left = self._process, deadline(timeout)
        process.wait_until(lambda: len(self._answers) > 0, "can't monitor its sockets", left())
        if self.boot_id and self.boot_id == boot_id():
            self.clock = Clock(shared=True)
            return
        best = Clock(uncertainty=float("inf"))
        for _ in range(CLOCK_READINGS):
            best = min(best, self._read_clock(left()), key=lambda clock: clock.uncertainty)
        self.clock = best

    def _read_clock(self, timeout: float) -> Clock:
        """Reads the node's clock once."""
        self._answers.clear()
        asked = time.time()
        self._process.send(b"\n")
        self._process.wait_until(lambda: len(self._answers) > 0, "can't read its clock", timeout)
        answered, received = self._answers[0]
        return compare(asked, answered, received)

    def begin(self, clock: Clock) -> None:
        """Passes on all events, earlier ones included, with their times corrected by this clock."""
        with self._lock:
            self.clock, self._passing = clock, True
            for report in self._held:
                self._pass_on(report)
            self._held = []

    def wait_until_quiet(self) -> None:
        """Returns when no packet waits in the node's kernel: then the captures have seen all of them.

        On a busy machine a packet may wait there for a while after its sender has exited. Returns after
        QUIET_TIMEOUT at the latest.
        """
        left, quiet = deadline(QUIET_TIMEOUT), 0
        with suppress(LabError):
            while quiet < 2 and left():
                self._read_clock(FLUSH_TIMEOUT)
                quiet = 0 if self._backlog else quiet + 1

    def resume(self) -> None:
        """Starts the poller again after the host was off. All earlier sockets are reported as gone."""
        self._report_gone()
        self._rest = b""
        self._answers.clear()
        self._process = self._start()
        self._process.wait_until(lambda: len(self._answers) > 0, "can't monitor its sockets", START_TIMEOUT)

    def _report_gone(self) -> None:
        """Reports all sockets of the host as gone."""
        at = self._process.ended_at or time.time()
        for last in self._alive.values():
            self._observe(replace(last, at=at, state="", was=last.state))
        self._alive.clear()

    def flush(self) -> None:
        """Returns when all earlier changes have been passed on, or if the host is gone."""
        with suppress(LabError):
            for _ in range(2):  # it polls after the first answer, and reports before the second
                self._read_clock(FLUSH_TIMEOUT)

    def stop(self) -> None:
        """Stops the poller, and returns when all its reports have been passed on."""
        if self._process.ended:
            self.ended = self._process.last_words
            self._report_gone()
        self._process.close_stdin()
        if not self._process.finish():
            self.ended = "it had to be killed"

    def _take(self, data: bytes) -> None:
        """Handles a piece of output. Raises EnvironmentFailure for a line that is too long."""
        now = time.time()
        *lines, self._rest = (self._rest + data).split(b"\n")
        if len(self._rest) > MAX_LINE:
            raise EnvironmentFailure(f"its socket monitor sent a line of more than {MAX_LINE} bytes")
        for line in lines:
            report = json.loads(line)
            if "clock" in report:
                self.boot_id = report.get("watching", self.boot_id)
                self._backlog = report.get("backlog", 0)
                self._answers.append((report["clock"], now))
                continue
            with self._lock:
                if self._passing:
                    self._pass_on(report)
                else:
                    self._held.append(report)

    def _pass_on(self, report: dict[str, Any]) -> None:
        event = as_event(self.host.title, self.clock, report)
        if isinstance(event, SocketChanged):
            self._alive[event.id] = event
            if not event.state:
                del self._alive[event.id]
        self._observe(event)


def as_event(node: str, clock: Clock, report: Mapping[str, Any]) -> Event:
    """One report of the poller as an event. Raises ValueError if it isn't a report."""
    at = clock.correct(report["at"])
    if "cut" in report:
        return Note(at, node, f"socket states are no longer reported after {report['cut']} changes")
    values = dict(report) | {"at": at, "node": node}
    if "counter" in values:
        return build(CounterChanged, values | {"name": values.pop("counter")})
    return build(SocketChanged, values)


def share(monitors: Iterable[SocketMonitor]) -> None:
    """Gives all nodes of one kernel the most precise of their clocks, and lets their events through."""
    monitors = list(monitors)
    for monitor in monitors:
        same = [w.clock for w in monitors if w.boot_id == monitor.boot_id and w.boot_id] or [monitor.clock]
        monitor.begin(min(same, key=lambda clock: clock.uncertainty))
