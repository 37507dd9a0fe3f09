"""The captures of a lab's segments. They start with the first recording, and run until ``close``."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from contextlib import suppress
from functools import cached_property, partial

from lab.control.collection.capture import Capture
from lab.control.collection.capture_plan import between_neighbours, capture_names
from lab.control.collection.capture_stream import CaptureStream
from lab.control.host import Host
from lab.errors import LabError
from lab.link import PROBE_PORT
from lab.topology.node import Interface, without_length

WORKERS = 16  # threads that start and stop captures and monitors
NO_PROBES = f"not udp port {PROBE_PORT}"  # probes that measure the link aren't traffic of the scenario


class SegmentCaptures:
    """The captures of all segments (see capture_plan.py)."""

    def __init__(self, hosts: Sequence[Host]) -> None:
        self.hosts = hosts
        self._streams: dict[str, CaptureStream] = {}
        self._starting: dict[str, Future[CaptureStream]] = {}  # by ``start_in``

    @cached_property
    def planned(self) -> dict[str, tuple[Host, Interface]]:
        """The captured interfaces by the names of their captures."""
        return capture_names(self.hosts)

    def problem(self) -> str:
        """Why no packets can be captured; "" if they can. The captures of some of the nodes would be
        incomplete, so one node is enough.
        """
        problems = ((host, host.capture_problem()) for host, _ in self.planned.values())
        return next((f"{host.title}: {why}" for host, why in problems if why), "")

    def start_in(self, pool: Executor, snaplen: int) -> None:
        """Starts the captures in the background, for the first recording. A failure is ignored: ``begin``
        starts a capture that isn't there.
        """
        for name in self.planned:
            self._starting[name] = pool.submit(self._started, name, snaplen)

    def begin(self, snaplen: int, limit: int, pool: ThreadPoolExecutor) -> list[Capture]:
        """A capture of each segment, which has begun. Raises EnvironmentFailure, HostTimeout."""
        return list(pool.map(partial(self._begin, snaplen, limit), self.planned))

    def _begin(self, snaplen: int, limit: int, name: str) -> Capture:
        segment = self.planned[name][1].segment
        self._collect_started(name)
        if (stream := self._streams.pop(name, None)) is not None:
            try:
                if stream.snaplen == snaplen and not stream.end:
                    capture = Capture(stream, name, segment=segment, limit=limit)
                    capture.begin()
                    self._streams[name] = stream
                    return capture
            except LabError:
                pass  # tcpdump doesn't answer: its host was off or paused
            stream.stop()
        stream = self._streams[name] = self._started(name, snaplen)
        capture = Capture(stream, name, segment=segment, limit=limit)
        capture.begin(fresh=True)
        return capture

    def _collect_started(self, name: str) -> None:
        """Waits for a capture that starts in the background."""
        if (starting := self._starting.pop(name, None)) is not None:
            with suppress(LabError):
                self._streams[name] = starting.result()

    def _started(self, name: str, snaplen: int) -> CaptureStream:
        host, interface = self.planned[name]
        expression = NO_PROBES
        routers = [each.node for each in self.hosts if each.node.role == "router"]
        if routers and host.node.role == "host":
            expression += f" and {between_neighbours(interface, routers)}"
        return self.start(host, without_length(interface.address), expression, snaplen)

    def start(self, host: Host, address: str, expression: str, snaplen: int) -> CaptureStream:
        """A capture of the lab's packets, which is listening. Raises EnvironmentFailure, HostTimeout."""
        addresses = [a for each in self.hosts for a in (*each.node.addresses, *each.node.addresses6)]
        filters = [f"({part})" for part in (expression, host.capture_filter(addresses)) if part]
        expression = " and ".join(filters) if len(filters) > 1 else expression
        stream = CaptureStream(host, address, snaplen=snaplen, expression=expression)
        try:
            stream.wait_until_listening()
        except BaseException:
            stream.stop()
            raise
        return stream

    def close(self) -> None:
        """Stops all captures."""
        for name in list(self._starting):
            self._collect_started(name)
        with ThreadPoolExecutor(max_workers=WORKERS) as pool:
            for _ in pool.map(CaptureStream.stop, self._streams.values()):
                pass
        self._streams.clear()
