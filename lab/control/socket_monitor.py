"""Socket states and kernel counters of every node, through time, as events on the controller's clock.

On each node runs lab.agent.socket_poller. It also tells the node's clock, which may differ from ours where
the Docker Engine, or the machine, is another one: offset and uncertainty are measured as NTP does it.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from lab.control.host import Host
from lab.control.process import HelperProcess, agent, deadline
from lab.errors import EnvironmentFailure, LabError
from lab.evidence.event_json import build
from lab.evidence.events import CounterChanged, Event, Note, Observe, SocketChanged

START_TIMEOUT = 10.0
QUIET_TIMEOUT = 0.5
FLUSH_TIMEOUT = 2.0  # a frozen host doesn't answer
CLOCK_QUESTIONS = 5
PROGRAM = agent("socket_poller")
MAX_LINE = 1 << 16  # bytes; a report has a few hundred
ROUTER_INTERVAL = 0.05  # seconds between two looks at a router, which has few sockets of its own


@dataclass(frozen=True)
class Clock:
    """How a node's clock stands to ours: ``offset`` seconds ahead, give or take ``uncertainty``."""

    offset: float = 0.0
    uncertainty: float = 0.0
    shared: bool = False  # the very same clock as ours: one kernel

    def correct(self, at: float) -> float:
        """The node's time ``at`` on our clock. An offset that may be none at all isn't applied."""
        return at if abs(self.offset) <= self.uncertainty else at - self.offset

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)


class SocketMonitor:
    """socket_poller on one node."""

    def __init__(self, host: Host, observe: Observe) -> None:
        self.host = host
        self.clock = Clock()
        self.boot_id = ""
        self.ended = ""  # why it ended before the run did
        self._observe = observe
        self._rest = b""
        self._answers: list[tuple[float, float]] = []  # the node's clock, and when that was here
        self._backlog = 0  # packets that waited in the node's kernel
        self._held: list[dict[str, Any]] = []  # what came before the clock was known
        self._passing = False
        self._lock = threading.Lock()
        self._alive: dict[int, SocketChanged] = {}  # sockets by number, as last reported
        self._process = self._start()

    def _start(self) -> HelperProcess:
        node = self.host.node
        words = [f"--address {address}" for address in (*node.addresses, *node.addresses6)]
        words += [f"--interval {ROUTER_INTERVAL}"] if node.role == "router" else []
        return self.host.helper(" ".join([PROGRAM, *words]), self._take)

    def wait_until_watching(self, timeout: float = START_TIMEOUT) -> None:
        """Returns when it looks, and its clock has been read. Raises EnvironmentFailure, HostTimeout."""
        process, left = self._process, deadline(timeout)
        process.wait_until(lambda: len(self._answers) > 0, "can't monitor its sockets", left())
        if self.boot_id and self.boot_id == boot_id():
            self.clock = Clock(shared=True)
            return
        best = Clock(uncertainty=float("inf"))
        for _ in range(CLOCK_QUESTIONS):
            best = min(best, self._ask(left()), key=lambda clock: clock.uncertainty)
        self.clock = best

    def _ask(self, timeout: float) -> Clock:
        """Asks for the node's clock once."""
        self._answers.clear()
        asked = time.time()
        self._process.send(b"\n")
        self._process.wait_until(lambda: len(self._answers) > 0, "its clock", timeout)
        there, heard = self._answers[0]
        return compare(asked, there, heard)

    def begin(self, clock: Clock) -> None:
        """Passes events on from now on, by this clock; those that came before, too."""
        with self._lock:
            self.clock, self._passing = clock, True
            for report in self._held:
                self._pass_on(report)
            self._held = []

    def wait_until_quiet(self) -> None:
        """Returns when no packet waits in the node's kernel: what was sent has been seen by captures.

        On a busy machine a packet may lie there for a while after its sender ended. A node on which packets
        always wait isn't waited for.
        """
        left, quiet = deadline(QUIET_TIMEOUT), 0
        with suppress(LabError):
            while quiet < 2 and left():
                self._ask(FLUSH_TIMEOUT)
                quiet = 0 if self._backlog else quiet + 1

    def resume(self) -> None:
        """Watches again after the host was off: what it had is gone, and it counts from anew."""
        self._bury()
        self._rest = b""
        self._answers.clear()
        self._process = self._start()
        self._process.wait_until(lambda: len(self._answers) > 0, "can't monitor its sockets", START_TIMEOUT)

    def _bury(self) -> None:
        """Tells that the sockets of a host that went away are gone."""
        at = self._process.ended_at or time.time()
        for last in self._alive.values():
            self._observe(replace(last, at=at, state="", was=last.state))
        self._alive.clear()

    def flush(self) -> None:
        """Returns when all that changed before has been passed on. A host that is gone tells no more."""
        with suppress(LabError):
            for _ in range(2):  # it looks after the first answer, and tells what it saw before the second
                self._ask(FLUSH_TIMEOUT)

    def stop(self) -> None:
        """Returns when all that it saw has been passed on."""
        if self._process.ended:
            self.ended = self._process.last_words
            self._bury()
        self._process.close_stdin()
        if not self._process.finish():
            self.ended = "it didn't end by itself"

    def _take(self, data: bytes) -> None:
        """Called with each piece of output. Raises EnvironmentFailure for a line without an end."""
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


def compare(asked: float, there: float, heard: float) -> Clock:
    """A node's clock read ``there`` at some moment between ``asked`` and ``heard``, both ours."""
    return Clock(there - (asked + heard) / 2, (heard - asked) / 2)


def as_event(node: str, clock: Clock, report: Mapping[str, Any]) -> Event:
    """One line of socket_poller as an event. Raises ValueError for a line that is no report."""
    at = clock.correct(report["at"])
    if "cut" in report:
        return Note(at, node, f"socket states are told no more after {report['cut']} changes")
    values = dict(report) | {"at": at, "node": node}
    if "counter" in values:
        return build(CounterChanged, values | {"name": values.pop("counter")})
    return build(SocketChanged, values)


def share(monitors: Iterable[SocketMonitor]) -> None:
    """Gives nodes with one kernel one clock, the best known, and lets events through."""
    monitors = list(monitors)
    for monitor in monitors:
        same = [w.clock for w in monitors if w.boot_id == monitor.boot_id and w.boot_id] or [monitor.clock]
        monitor.begin(min(same, key=lambda clock: clock.uncertainty))


def boot_id() -> str:
    """This machine's, where its kernel has one."""
    with suppress(OSError):
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    return ""
