"""Socket states and kernel counters of a node over time, as events on the controller's clock.

The node's agent polls them while it is asked to. It also reports the node's clock, which differs from the
controller's if the Docker Engine runs on another machine.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import replace
from typing import Any

from lab.control.collection.clock import Clock, boot_id, compare
from lab.control.host import Host
from lab.control.process import deadline
from lab.errors import LabError
from lab.evidence.event_json import build
from lab.evidence.events import CounterChanged, Event, Note, Observe, SocketChanged

START_TIMEOUT = 10.0
STOP_TIMEOUT = 5.0
QUIET_TIMEOUT = 0.5
FLUSH_TIMEOUT = 2.0  # a frozen host doesn't answer
CLOCK_READINGS = 5
INTERVAL = 0.005  # seconds between two polls of a host
ROUTER_INTERVAL = 0.05  # of a router, which has few sockets of its own


class SocketMonitor:
    """The sockets of one node during a recording. ``start`` starts it; ``begin`` lets its events through."""

    def __init__(self, host: Host, observe: Observe) -> None:
        self.host = host
        self.clock = Clock()
        self.boot_id = ""
        self.ended = ""  # the reason, if it ended before the recording did
        self._observe = observe
        self._since = 0.0  # the node's time when it began: earlier reports are those of another recording
        self._gone: tuple[float, str] | None = None  # when and why the agent ended
        self._held: list[dict[str, Any]] = []  # reports that came before the clock was known
        self._passing = False
        self._lock = threading.Lock()
        self._alive: dict[int, SocketChanged] = {}  # sockets by number, as last reported

    def start(self, timeout: float = START_TIMEOUT) -> None:
        """Returns when the sockets are polled and the node's clock has been read.

        Raises EnvironmentFailure, HostTimeout.
        """
        left = deadline(timeout)
        self.host.agent.reports(self._take)
        self._watch(left())
        if self.boot_id and self.boot_id == boot_id():
            self.clock = Clock(shared=True)
            return
        readings = [self._read_clock(left()) for _ in range(CLOCK_READINGS)]
        self.clock = min(readings, key=lambda clock: clock.uncertainty)

    def _watch(self, timeout: float) -> None:
        node = self.host.node
        addresses = [*node.addresses, *node.addresses6] if self.host.ssh_for_scenarios else []
        interval = ROUTER_INTERVAL if node.role == "router" else INTERVAL
        agent = self.host.agent
        answer = agent.request("watch", timeout=timeout, addresses=addresses, interval=interval)
        self._since, self.boot_id = answer["time"], answer["boot_id"]

    def _read_clock(self, timeout: float) -> Clock:
        """Reads the node's clock once."""
        asked = time.time()
        answer = self.host.agent.request("clock", timeout=timeout)
        return compare(asked, answer["time"], time.time())

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
            while quiet < 2 and left() and not self._gone:
                backlog = self.host.agent.request("clock", timeout=FLUSH_TIMEOUT)["backlog"]
                quiet = 0 if backlog else quiet + 1

    def resume(self) -> None:
        """Watches the sockets again after the host was off. All earlier ones are reported as gone.

        Raises EnvironmentFailure, HostTimeout.
        """
        with self._lock:
            self._report_gone()
            self._gone = None
        self._watch(START_TIMEOUT)

    def _report_gone(self) -> None:
        """Reports all sockets of the host as gone."""
        at = self._gone[0] if self._gone else time.time()
        for last in self._alive.values():
            self._observe(replace(last, at=at, state="", was=last.state))
        self._alive.clear()

    def flush(self) -> None:
        """Returns when all earlier changes have been passed on, or if the host is gone."""
        with suppress(LabError):
            if not self._gone:
                self.host.agent.request("poll", timeout=FLUSH_TIMEOUT)

    def stop(self) -> None:
        """Ends the polling, and returns when all its reports have been passed on."""
        try:
            if not self._gone:
                self.host.agent.request("unwatch", timeout=STOP_TIMEOUT)
        except LabError as error:
            self.ended = str(error)
        self.host.agent.ignore_reports(self._take)
        with self._lock:
            self._passing = False
            if self._gone:
                self.ended = self._gone[1]
                self._report_gone()

    def _take(self, report: dict[str, Any]) -> None:
        """Handles a report of the agent."""
        with self._lock:
            if "ended" in report:
                self._gone = time.time(), report["ended"]
            elif self._passing:
                self._pass_on(report)
            else:
                self._held.append(report)

    def _pass_on(self, report: dict[str, Any]) -> None:
        if report["at"] < self._since:
            return
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
