"""The evidence of one run or test: packets, socket states, and the output of containers."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from lab.control.collection.capture import LIMIT, Capture
from lab.control.collection.capture_stream import SNAPLEN
from lab.control.collection.segment_captures import WORKERS, SegmentCaptures
from lab.control.collection.socket_monitor import SocketMonitor, share
from lab.control.collection.workload_monitor import WorkloadMonitor
from lab.control.host import Host, titles
from lab.errors import LabError, Unsupported
from lab.evidence.diagnosis.diagnose import Evidence
from lab.evidence.events import Note, Observe
from lab.evidence.packets.packet import Packet
from lab.evidence.packets.traffic import Traffic
from lab.evidence.record import read_events
from lab.locale import message

SETTLE = 0.1  # seconds for a packet to leave the router, if the delay isn't known
MAX_SETTLE = 2.0
HOST_FLUSH_TIMEOUT = 2.0

T = TypeVar("T")


@dataclass(frozen=True)
class Options:
    """The limits of a recording's captures: bytes of each packet, and bytes of each capture."""

    snaplen: int = SNAPLEN
    limit: int = LIMIT


class Recording:
    """A slice of the packets and events that the captures and monitors of a lab report."""

    def __init__(self, captures: SegmentCaptures, observe: Observe, folder: Path, options: Options) -> None:
        self.hosts = captures.hosts
        self.folder = folder
        self.segments: list[Capture] = []
        self.captures: list[Capture] = []  # of hosts, on request
        self.monitors: list[SocketMonitor] = []
        self.uncaptured = ""  # why no packets are captured
        self.workloads: dict[str, WorkloadMonitor] = {}  # by the name of their host
        self.traffic = Traffic([], [], {})  # of the whole recording, once it has ended
        self._counts: list[tuple[int, int]] = []  # the packets in ``traffic`` of each capture
        self._segment_captures = captures
        self._observe = observe
        self._options = options

    def begin(self) -> None:
        """Returns when all captures and monitors run. Raises EnvironmentFailure, HostTimeout."""
        self.uncaptured = self._segment_captures.problem()
        if self.uncaptured:
            self._observe(Note(time.time(), "lab", f"no packets are captured: {self.uncaptured}"))
        with ThreadPoolExecutor(max_workers=WORKERS) as pool:
            starting = [pool.submit(self._monitor, host) for host in self.hosts]
            starting += [pool.submit(self._follow_workload, host) for host in self.hosts]
            if not self.uncaptured:
                options = self._options
                self.segments = self._segment_captures.begin(options.snaplen, options.limit, pool)
            for job in starting:
                job.result()
        share(self.monitors)
        self._correct_clocks()
        clocks = {monitor.host.name: monitor.clock for monitor in self.monitors}
        for name, workload in self.workloads.items():
            workload.begin(clocks[name])
        for host in self.hosts:
            host.returned.append(self._resume)

    def _correct_clocks(self) -> None:
        """Brings the captures to the controller's clock. Nodes of one kernel have no error between them."""
        monitors = {monitor.host.name: monitor for monitor in self.monitors}
        kernels = {monitors[capture.host.name].boot_id for capture in self.segments}
        for capture in self.segments:
            clock = monitors[capture.host.name].clock
            capture.correct_times(clock.correct)
            capture.about.clock_error = 2 * clock.uncertainty if len(kernels) > 1 else 0.0

    def _follow_workload(self, host: Host) -> None:
        if host.workload is not None:
            self.workloads[host.name] = WorkloadMonitor(host, host.workload, self._observe)
        elif host.node.workload:
            text = f"the output of {host.node.workload} isn't collected: this needs the engine"
            self._observe(Note(time.time(), host.title, text))

    def _resume(self, host: Host) -> None:
        """Restarts the monitor and the captures of a host after its power was off."""
        for monitor in self.monitors:
            if monitor.host is host:
                monitor.resume()
        for capture in [*self.segments, *self.captures]:
            if capture.host is host:
                capture.resume()

    def _monitor(self, host: Host) -> None:
        monitor = SocketMonitor(host, self._observe)
        self.monitors.append(monitor)
        monitor.start()

    def packets(self) -> Traffic:
        """All packets that passed before this call.

        Raises EnvironmentFailure, HostTimeout, and Unsupported if no packets are captured.
        """
        if self.uncaptured:
            raise Unsupported(message("no packets are captured: {why}", why=self.uncaptured))
        capturing = {capture.host.name for capture in self.segments}
        monitors = [monitor for monitor in self.monitors if monitor.host.name in capturing]
        with ThreadPoolExecutor(max_workers=WORKERS) as pool:
            _each(pool, SocketMonitor.wait_until_quiet, monitors)
            _each(pool, self._flush, self.segments)
        return self._current_traffic()

    def _flush(self, capture: Capture) -> None:
        """Receives all packets of a capture. A host may be off or paused: then it has sent none."""
        if capture.host.node.role == "router":
            capture.flush()
            return
        with suppress(LabError):
            capture.flush(HOST_FLUSH_TIMEOUT)

    @contextmanager
    def capture(self, host: Host, expression: str = "") -> Iterator[Capture]:
        """Captures on a host's own segment while the context lasts; the file is in the run's folder."""
        if problem := host.capture_problem():
            raise Unsupported(message("{host} can't capture: {why}", host=host.title, why=problem))
        taken = {capture.about.name for capture in self.segments}
        name = f"{host.node.segments[0]}@{host.title}" if host.title in taken else host.title
        stream = self._segment_captures.start(host, host.address, expression, self._options.snaplen)
        capture = Capture(stream, name, limit=self._options.limit)
        monitor = next((monitor for monitor in self.monitors if monitor.host is host), None)
        if monitor is not None:
            capture.correct_times(monitor.clock.correct)
        try:
            capture.begin(fresh=True)
            self.captures.append(capture)
            yield capture
            if monitor is not None:
                monitor.wait_until_quiet()
        finally:
            capture.end()
            stream.stop()

    def evidence(self, since: float = 0.0) -> Evidence:
        """The evidence so far, with only the packets and programs that began after ``since``.

        Raises EnvironmentFailure, HostTimeout.
        """
        with ThreadPoolExecutor(max_workers=WORKERS) as pool:
            _each(pool, SocketMonitor.flush, self.monitors)
            _each(pool, WorkloadMonitor.flush, self.workloads.values())
        return Evidence(read_events(self.folder), self.packets()).since(since)

    def end(self) -> None:
        """Waits for packets in the routers, ends all captures and monitors, and writes the captures."""
        for host in self.hosts:
            if self._resume in host.returned:
                host.returned.remove(self._resume)
        self.settle()
        with ThreadPoolExecutor(max_workers=WORKERS) as pool:
            stopping = pool.map(SocketMonitor.stop, self.monitors)
            _each(pool, Capture.end, self.segments)
            _each(pool, WorkloadMonitor.stop, self.workloads.values())
            list(stopping)
        for capture in [*self.segments, *self.captures]:
            capture.write(self.folder)
        self.traffic = self._current_traffic()

    def to_dict(self) -> dict[str, Any]:
        """The nodes, the captures and the clocks, for the record."""
        captures = [capture.about.to_dict() for capture in [*self.segments, *self.captures]]
        clocks = {
            monitor.host.title: monitor.clock.to_dict() | {"ended": monitor.ended}
            for monitor in self.monitors
        }
        return {"topology": self._topology(), "captures": captures, "clocks": clocks}

    def _topology(self) -> list[dict[str, Any]]:
        return [host.node.to_json() for host in self.hosts]

    def _current_traffic(self) -> Traffic:
        """The traffic; its packets are matched again only if there are more than the last time."""
        packets: list[Packet] = [packet for capture in self.segments for packet in capture.packets()]
        counts = [(capture.about.packets, capture.about.cut) for capture in self.segments]
        if counts != self._counts:
            captures = [capture.about for capture in self.segments]
            self._counts, self.traffic = (
                counts,
                Traffic(packets, captures, titles(self.hosts), self._topology()),
            )
        return self.traffic

    def settle(self) -> None:
        """Waits for packets that have just entered a router; otherwise they would count as lost."""
        until = time.time() + MAX_SETTLE
        try:
            while (time_left := _time_left(self.packets())) > 0 and time.time() < until:
                time.sleep(min(time_left, 0.05))
        except LabError:
            return  # a router that is off forwards nothing; the captures report that they ended


def _time_left(traffic: Traffic) -> float:
    """The seconds that are left for the newest packet that hasn't left its last router yet."""
    lost = [transit.sent.at for transit in traffic.transits if transit.fate == "lost"]
    if not lost:
        return 0.0
    delays = [transit.delay for transit in traffic.transits if transit.delay is not None]
    return lost[-1] + max(SETTLE, 2 * max(delays, default=0.0)) - time.time()


def _each(pool: ThreadPoolExecutor, act: Callable[[T], None], items: Iterable[T]) -> None:
    for _ in pool.map(act, items):
        pass
