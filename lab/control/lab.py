"""The lab, as scenarios use it: its nodes by name, and the packets between them."""

from __future__ import annotations

import random
import time
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from lab.control.collection.capture import Capture
from lab.control.collection.capture_stream import SNAPLEN
from lab.control.collection.recording import Options, Recording
from lab.control.collection.segment_captures import SegmentCaptures
from lab.control.host import Host
from lab.control.link.links import Links
from lab.control.link.partition import Partition
from lab.control.observers import EventFanout
from lab.control.process import HelperProcess
from lab.control.reset import ResetReport, reset
from lab.errors import EnvironmentFailure, UsageError
from lab.evidence.diagnosis.diagnose import Diagnosis, diagnose
from lab.evidence.events import Event, Note, Observe, VariantBegan
from lab.evidence.packets.traffic import Traffic
from lab.evidence.socket_history import SocketHistory, socket_histories
from lab.locale import message
from lab.remote.ssh import CONNECT_TIMEOUT

WORKERS = 16  # threads: more than the machine has cores, as they wait for the nodes
CLAIM = "/tmp/socketlab-run"  # on the router; the current run holds a lock on it


def ignore(_: Event) -> None:
    """Ignores an event."""


class NoSuchNode(UsageError, AttributeError):
    """The lab has no node of that name. An AttributeError, so that hasattr(lab, name) is False."""


class Lab:
    """The nodes of one lab. ``lab["server"]`` or ``lab.server``; any of a node's names works.

    A type checker accepts only ``lab["server"]``, since the names come from the topology. To have
    ``lab.server`` checked, declare it: ``class Pair(Lab): server: Host``, and annotate with ``Pair``.

    ``is_inventory``: its hosts are real machines.

    ``random`` is for a scenario's random choices; its seed is in the record.

    ``observers`` get the events of the hosts, programs and links.
    """

    is_inventory = False

    def __init__(self, hosts: Iterable[Host], observe: Observe, title: str) -> None:
        """``observe`` is an observer, or the EventFanout to which the hosts report."""
        self.hosts = list(hosts)
        self.title = title
        self.random = random.Random()
        self.observers = observe if isinstance(observe, EventFanout) else EventFanout(observe)
        self.link = Links(self.hosts, self.observers)
        self._captures = SegmentCaptures(self.hosts)
        self._recording: Recording | None = None
        self._claims: list[HelperProcess] = []  # the programs that reserve it
        self._by_name = {name: host for host in self.hosts for name in {host.name, *host.node.names}}

    def __getitem__(self, name: str) -> Host:
        host = self._by_name.get(name)
        if host is None:
            raise NoSuchNode(
                message(
                    "no node {name!r}; there are {known}", name=name, known=", ".join(sorted(self._by_name))
                ),
                name=name,
            )
        return host

    if not TYPE_CHECKING:  # else every misspelt attribute would be of type Host

        def __getattr__(self, name: str) -> Host:
            if name.startswith(
                "_"
            ):  # no node has such a name; copy and pickle look up attributes before __init__ has run
                raise AttributeError(name)
            return self[name]

    def require(self, need: str) -> None:
        """Raises Unsupported if the lab lacks something that a scenario needs: one of NEEDS of the catalog.

        A lab of containers meets all of them.
        """

    def note(self, text: str) -> None:
        """Adds a line of the scenario to the timeline."""
        self.observers(Note(time.time(), "lab", text))

    def begin(self, variant: str) -> None:
        """Marks the following events in the timeline as those of this variant of the scenario."""
        self.observers(VariantBegan(time.time(), "lab", variant))

    def partition(
        self, *sets: Iterable[Host | str] | Host | str, one_way: bool = False, verify: bool = True
    ) -> AbstractContextManager[Partition]:
        """Routers drop all packets between hosts of different sets while the context lasts.

        Established connections get no answer, and no reset. With ``one_way``, only packets from the first set
        to the second are dropped. Partitions may overlap, and links keep their settings. With ``verify``,
        each host sends a datagram to those that it must not reach; LinkFailure is raised if one passes.
        Raises UsageError if two such hosts share a segment, and Unsupported if no router sees the addresses
        of both.
        """
        members = [[each] if isinstance(each, Host | str) else list(each) for each in sets]
        named = [[self[each] if isinstance(each, str) else each for each in group] for group in members]
        in_order = [sorted(group, key=self.hosts.index) for group in named]  # a set has no order of its own
        return self.link.separate(in_order, one_way=one_way, verify=verify)

    def packets(self) -> Traffic:
        """The packets between the hosts so far in this recording. Raises UsageError if there is none."""
        traffic = self._current_recording().packets()
        traffic.read_again = self.packets
        return traffic

    def states(self) -> list[SocketHistory]:
        """The sockets of all nodes so far in this recording, each with its states over time."""
        return socket_histories(self._current_recording().evidence().events)

    def diagnosis(self, since: float = 0.0) -> Diagnosis:
        """The diagnosis of what went wrong so far, or since a time.time() value."""
        return diagnose(self._current_recording().evidence(since))

    def capture(self, host: str, expression: str = "") -> AbstractContextManager[Capture]:
        """Captures on a host's own segment while the context lasts, into HOST.pcapng in the run's folder."""
        return self._current_recording().capture(self[host], expression)

    def _current_recording(self) -> Recording:
        if self._recording is None:
            raise UsageError("packets and states are collected only while a scenario is played")
        return self._recording

    @contextmanager
    def observed_by(self, observe: Observe) -> Iterator[Lab]:
        """Passes all events to ``observe`` too while the context lasts. Yields this lab."""
        with self.observers.also(observe):
            yield self

    @contextmanager
    def recording(
        self, folder: Path, *, observe: Observe = ignore, options: Options | None = None
    ) -> Iterator[Recording]:
        """Records the packets, socket states and containers' output while the context lasts.

        The captures start with the first recording and run until the lab is closed.
        ``observe`` gets all events of the lab; it has to write them to ``folder``, as a Recorder does. The
        captures are written to ``folder`` when the context ends. ``packets``, ``states``, ``diagnosis`` and
        ``capture`` are about this recording. Raises EnvironmentFailure, HostTimeout, and UsageError if there
        is a recording already.
        """
        if self._recording is not None:
            raise UsageError("this lab is recorded already: end that recording first")
        with self.observers.also(observe):
            self._recording = Recording(self._captures, self.observers, folder, options or Options())
            try:
                self._recording.begin()
                yield self._recording
            finally:
                try:
                    self._recording.end()
                finally:
                    self._recording = None

    def connect(self) -> None:
        """Logs in to all nodes, to several at the same time. Raises EnvironmentFailure."""
        with ThreadPoolExecutor(max_workers=WORKERS) as pool:
            for _ in pool.map(Host.connect, self.hosts):
                pass

    def warm_up(self, snaplen: int = SNAPLEN) -> None:
        """Makes the connections, and starts the agents and the captures, in the background.

        The first run then begins sooner. A failure is ignored: it is tried again when it is needed.
        """
        pool = ThreadPoolExecutor(max_workers=WORKERS)
        for host in self.hosts:
            pool.submit(host.agent.request, "clock", timeout=CONNECT_TIMEOUT)
        self._captures.start_in(pool, snaplen)
        pool.shutdown(wait=False)

    @contextmanager
    def claimed(self) -> Iterator[None]:
        """Reserves the lab for this run while the context lasts: each run checks all packets on the segments.

        Within another such context, it is reserved again only if that reservation was lost: a router was
        switched off, or its processes were killed. Raises EnvironmentFailure if another run has reserved it.
        """
        if self._claims and not any(program.ended for program in self._claims):
            yield
            return
        with ExitStack() as stack:
            self._claims = self._claim(stack)
            stack.callback(self._claims.clear)
            yield

    def _claim(self, stack: ExitStack) -> list[HelperProcess]:
        """Starts the programs that reserve the lab."""
        programs = []
        for router in [host for host in self.hosts if host.node.role == "router"]:
            router.restore()
            program = stack.enter_context(router.claimed(CLAIM))
            if program is None:
                raise EnvironmentFailure(
                    message(
                        "another run is on this lab: wait until it ends, or start another lab with"
                        " `lab up -p NAME`"
                    )
                )
            programs.append(program)
        return programs

    def restore(self) -> None:
        """Heals the faults left behind by a run that was killed. Raises EnvironmentFailure."""
        with ThreadPoolExecutor(max_workers=WORKERS) as pool:
            for _ in pool.map(lambda host: host.restore(), self.hosts):
                pass

    def reset(self) -> ResetReport:
        """Returns all nodes to the state in which they came up, and reports the differences.

        All processes but the controller's own are killed, those of other SSH connections included. A node
        that can't be reset is replaced; so is a user's container that took part in anything since the last
        reset, unless its description says `reset = "keep"`. Raises Unsupported for real machines, and
        EnvironmentFailure if a node can be neither reset nor replaced.
        """
        return reset(self.hosts)

    def close(self) -> None:
        """Stops the captures, and closes the connections, those of several nodes at the same time."""
        self._captures.close()
        with ThreadPoolExecutor(max_workers=WORKERS) as pool:
            for _ in pool.map(Host.disconnect, self.hosts):
                pass
