"""The evidence model: everything known about a run, and the findings that the rules draw from it."""

from __future__ import annotations

import re
import signal
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TypeAlias

from lab.evidence.events import (
    CounterChanged,
    Event,
    FaultChanged,
    LinkChanged,
    LinkFailed,
    Output,
    ProgramEvent,
    ProgramExited,
    ProgramStarted,
    WorkloadEnded,
    WorkloadStarted,
)
from lab.evidence.packets.connections import Connection
from lab.evidence.packets.routes.network import ExpectedPath
from lab.evidence.packets.traffic import Traffic
from lab.evidence.socket_history import SocketHistory, socket_histories
from lab.locale import Message

TERMINATED = 128 + signal.SIGTERM  # the exit code of a shell whose child was killed by SIGTERM
GRACE = 0.5  # seconds before and after a failed program within which a finding counts as its own

Fault: TypeAlias = FaultChanged | LinkChanged | LinkFailed


@dataclass(frozen=True)
class Run:
    """One run of a program on a node. ``ended`` is None if it was still running."""

    number: int
    node: str
    command: str
    started: float
    ended: float | None = None
    exit_code: int | None = None
    signal: str | None = None

    @property
    def failed(self) -> bool:
        """Whether it exited with an error. SIGTERM is no error: the lab stops programs with it."""
        if self.signal:
            return self.signal != "TERM"
        return self.exit_code not in (None, 0, TERMINATED)


@dataclass
class Evidence:
    """The events of a run in order of time, its traffic, and the error message of the failed check."""

    events: list[Event]
    traffic: Traffic
    reason: str = ""

    @cached_property
    def sockets(self) -> list[SocketHistory]:
        return socket_histories(self.events)

    @cached_property
    def programs(self) -> list[Run]:
        return _programs(self.events)

    @cached_property
    def failed(self) -> list[Run]:
        """The programs that failed; only those that the reason names, if it names any."""
        failed = [program for program in self.programs if program.failed]
        return [program for program in failed if program.command in self.reason] or failed

    @cached_property
    def routers(self) -> set[str]:
        """The names of the routers."""
        return set(self.traffic.network.routers)

    def expected_path(self, connection: Connection) -> ExpectedPath | None:
        """The routers and segments between the ends of a connection, in both directions; None if unknown."""
        pairs = [
            (connection.client_address, connection.server_address),
            *filter(None, [connection.translated]),
        ]
        ends = [
            pair
            for one, other in pairs
            for pair in ((one.address, other.address), (other.address, one.address))
        ]
        paths = [path for path in (self.traffic.network.expected_path(*pair) for pair in ends) if path]
        if not paths:
            return None
        routers = dict.fromkeys(router for path in paths for router in path.routers)
        return ExpectedPath(tuple(routers), tuple({segment for path in paths for segment in path.segments}))

    @cached_property
    def end(self) -> float:
        """The time of the last event."""
        return self.events[-1].at if self.events else 0.0

    def since(self, start: float) -> Evidence:
        """The evidence without earlier packets, programs and counters.

        Sockets, faults and the states of containers stay, because they last.
        """

        def lasts(event: Event) -> bool:
            lasting = isinstance(event, WorkloadStarted | WorkloadEnded)
            return lasting or not isinstance(event, ProgramEvent | CounterChanged)

        events = [event for event in self.events if event.at >= start or lasts(event)]
        return self._with(events, lambda at: at >= start)

    @cached_property
    def until_failure(self) -> Evidence:
        """The evidence up to the end of the last failed program: later events can't be the cause."""
        ends = [program.ended for program in self.failed]
        if not ends or None in ends:
            return self
        last = max(end for end in ends if end is not None)
        return self._with([event for event in self.events if event.at <= last], lambda at: at <= last)

    def _with(self, events: list[Event], wanted: Callable[[float], bool]) -> Evidence:
        traffic = self.traffic.select(lambda packet: wanted(packet.at))
        return Evidence(events, traffic, self.reason)

    def failing_at(self, at: float) -> bool:
        """Whether a program that failed was running at that time; True if no program failed."""
        return not self.failed or any(
            program.started - GRACE <= at <= (program.ended or self.end) + GRACE for program in self.failed
        )

    def output_matching(self, pattern: re.Pattern[str]) -> Iterator[tuple[Output, Run | None]]:
        """The lines of output in which ``pattern`` is found, each with its program."""
        programs = {program.number: program for program in self.programs}
        for event in self.events:
            if isinstance(event, Output) and pattern.search(event.line):
                yield event, programs.get(event.program)

    def faults(self, at: float, *nodes: str, path: ExpectedPath | None = None) -> list[Fault]:
        """The faults of links, routers and ``nodes`` that were active at ``at``, the latest first.

        If ``path`` is given, only those of the routers and links on it.
        """
        active: dict[tuple[str, ...], Fault] = {}
        routers = path.routers if path else self.routers
        for event in self.events:
            if event.at > at:
                break
            if isinstance(event, FaultChanged) and _concerns(event, nodes, routers):
                active.pop((event.node, event.fault), None)
                if event.edge == "begin":
                    active[event.node, event.fault] = event
            elif isinstance(event, LinkChanged | LinkFailed) and _is_on(event, path):
                link = ("link", event.node, event.link)
                active.pop(link, None)
                if isinstance(event, LinkFailed) or not event.asked.is_nothing:
                    active[link] = event
        return sorted(active.values(), key=lambda fault: -fault.at)

    def node_faults(self, node: str, at: float) -> list[FaultChanged]:
        """The faults of one node that were active at ``at``, the latest first."""
        found = self.faults(at, node)
        return [fault for fault in found if isinstance(fault, FaultChanged) and fault.node == node]

    def listeners(self, node: str, at: float) -> list[SocketHistory]:
        """The sockets of a node that were in the state LISTEN at ``at``."""
        return [socket for socket in self.sockets if socket.node == node and socket.state_at(at) == "LISTEN"]

    def counter_change(self, node: str, counter: str) -> int:
        """The change of a kernel counter of a node over the run."""
        changes = [event for event in self.events if isinstance(event, CounterChanged)]
        return sum(event.change for event in changes if (event.node, event.name) == (node, counter))

    def connections_of(self, program: Run) -> list[Connection]:
        """The connections that the program's node opened while the program ran."""
        until = program.ended or self.end
        return [
            connection
            for connection in self.traffic.connections()
            if connection.client == program.node and program.started <= connection.started <= until
        ]

    def sent_nothing(self, program: Run) -> bool:
        """Whether no TCP or UDP packet of the program's node was seen while the program ran.

        False if no packets were captured.
        """
        if not self.traffic.captures:
            return False
        until, names = program.ended or self.end, self.traffic.names
        return not any(
            names.get(packet.source) == program.node and program.started <= packet.at <= until
            for packet in self.traffic.packets
            if packet.protocol in ("tcp", "udp")
        )

    def connection_groups(self, wanted: Callable[[Connection], bool]) -> list[list[Connection]]:
        """The connections that are ``wanted``, grouped by client, server and port."""
        groups: dict[tuple[str, str, int], list[Connection]] = defaultdict(list)
        for connection in self.traffic.connections():
            if wanted(connection):
                groups[connection.client, connection.server, connection.port].append(connection)
        return list(groups.values())

    def sockets_of(self, connection: Connection) -> list[SocketHistory]:
        """The sockets at both ends of a connection."""
        ends = connection.ends
        return [socket for socket in self.sockets if frozenset((socket.local, socket.remote)) in ends]

    def has_unseen_neighbours(self, node: str) -> bool:
        """Whether packets to another host on a segment of the node are in no capture."""
        hosts = [each for each in self.traffic.network.nodes if each.role == "host"]
        captured = {c.segment for c in self.traffic.captures.values() if c.node == node}
        own = {segment for each in hosts if each.title == node for segment in each.segments} - captured
        return any(own & set(each.segments) for each in hosts if each.title != node)

    def unread_bytes(self, connection: Connection, node: str) -> int:
        """The bytes in the receive queue of a connection's socket on ``node``, when last seen."""
        sockets = [socket for socket in self.sockets_of(connection) if socket.node == node]
        return max((socket.receive_queue for socket in sockets), default=0)


@dataclass(frozen=True)
class Finding:
    """One cause: the sentence that states it, and the time at which it took effect.

    ``subjects`` names the connections, ports or programs that it explains. ``see_also`` names scenarios that
    show the same cause.
    """

    sentence: Message
    at: float
    subjects: frozenset[str] = field(default_factory=frozenset)
    see_also: tuple[str, ...] = ()


Rule: TypeAlias = Callable[[Evidence], Iterator[Finding]]


def _concerns(fault: FaultChanged, nodes: Collection[str], routers: Collection[str]) -> bool:
    """Whether a fault is on one of these nodes or routers; a partition, whether it separates the nodes."""
    kind, _, text = fault.fault.partition(": ")
    if kind != "partition" or len(nodes) < 2:
        return fault.node in nodes or fault.node in routers
    sets = [set(members.split(", ")) for members in re.split(r" \| | → ", text)]
    return len([members for members in sets if members & set(nodes)]) > 1


def _is_on(event: LinkChanged | LinkFailed, path: ExpectedPath | None) -> bool:
    """Whether the link, named "left–right", "left–right (router)" or "", is on the path."""
    if path is None:
        return True
    segments = set(filter(None, event.link.partition(" (")[0].split("–")))
    return event.node in path.routers and segments <= set(path.segments)


def subjects(connections: Iterable[Connection]) -> frozenset[str]:
    """The connections as the subjects of a finding."""
    return frozenset(f"{c.client_address} {c.server_address}" for c in connections)


def listed(words: Iterable[str]) -> str:
    """The words in alphabetical order, separated by commas."""
    return ", ".join(sorted(words))


def _programs(events: list[Event]) -> list[Run]:
    runs: dict[int, Run] = {}
    for event in events:
        if isinstance(event, ProgramStarted):
            runs[event.program] = Run(event.program, event.node, event.command, event.at)
        elif isinstance(event, ProgramExited) and event.program in runs:
            runs[event.program] = replace(
                runs[event.program], ended=event.at, exit_code=event.exit_code, signal=event.signal
            )
    return list(runs.values())
