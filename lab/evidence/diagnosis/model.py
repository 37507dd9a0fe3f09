"""A case for the diagnosis: all that is known of a run, and what a rule finds in it."""

from __future__ import annotations

import re
import signal
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
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
)
from lab.evidence.packets.connections import Connection
from lab.evidence.packets.traffic import Traffic
from lab.evidence.socket_history import SocketHistory, socket_histories

TERMINATED = 128 + signal.SIGTERM  # the exit code of a shell whose child was killed by SIGTERM
GRACE = 0.5  # seconds around a failing program in which a finding counts as its own


@dataclass(frozen=True)
class Run:
    """A program's run on a node, as its events tell it."""

    number: int
    node: str
    command: str
    started: float
    ended: float | None = None
    exit_code: int | None = None
    signal: str | None = None

    @property
    def failed(self) -> bool:
        """Whether it ended by itself and not with success: SIGTERM is how the lab stops a program."""
        if self.signal:
            return self.signal != "TERM"
        return self.exit_code not in (None, 0, TERMINATED)


@dataclass
class Evidence:
    """All that is known of a run: what happened (in order), what passed, and why the check failed."""

    events: list[Event]
    traffic: Traffic
    reason: str = ""

    @cached_property
    def sockets(self) -> list[SocketHistory]:
        return socket_histories(self.events)

    @cached_property
    def programs(self) -> list[Run]:
        return list(_programs(self.events))

    @cached_property
    def failed(self) -> list[Run]:
        """Programs that failed: those that the reason names, else all that ended badly."""
        failed = [program for program in self.programs if program.failed]
        return [p for p in failed if p.command in self.reason] or failed

    def since(self, moment: float) -> Evidence:
        """Without the packets, and the programs and what they said, of before a moment."""
        packets = [packet for packet in self.traffic.packets if packet.at >= moment]
        traffic = Traffic(packets, self.traffic.captures.values(), self.traffic.names)
        dated = (ProgramEvent, CounterChanged)
        events = [event for event in self.events if not isinstance(event, dated) or event.at >= moment]
        return Evidence(events, traffic, self.reason)

    @cached_property
    def then(self) -> Evidence:
        """The evidence as it was when the last program that failed ended: what came later is no cause."""
        ends = [program.ended for program in self.failed]
        if not ends or None in ends:
            return self
        moment = max(end for end in ends if end is not None)
        packets = [packet for packet in self.traffic.packets if packet.at <= moment]
        traffic = Traffic(packets, self.traffic.captures.values(), self.traffic.names)
        return Evidence([event for event in self.events if event.at <= moment], traffic, self.reason)

    @cached_property
    def end(self) -> float:
        """The moment of the last event."""
        return self.events[-1].at if self.events else 0.0

    def failing_at(self, at: float) -> bool:
        """Whether a program that failed was running at that moment; True where none failed."""
        return not self.failed or any(
            program.started - GRACE <= at <= (program.ended or self.end) + GRACE for program in self.failed
        )

    def complaints(self, pattern: re.Pattern[str]) -> Iterator[tuple[Output, Run | None]]:
        """Lines that programs said, and the reason itself, where they match."""
        runs = {program.number: program for program in self.programs}
        for event in self.events:
            if isinstance(event, Output) and pattern.search(event.line):
                yield event, runs.get(event.program)

    def faults(self, moment: float, *nodes: str) -> list[Fault]:
        """The faults of the link and of ``nodes`` that were present at a moment; the last one first."""
        present: dict[tuple[str, ...], Fault] = {}
        for event in self.events:
            if event.at > moment:
                break
            if isinstance(event, FaultChanged) and event.node in nodes:
                present.pop((event.node, event.fault), None)
                if event.edge == "begin":
                    present[event.node, event.fault] = event
            elif isinstance(event, LinkChanged | LinkFailed):
                present.pop(("link",), None)
                if isinstance(event, LinkFailed) or not event.asked.is_nothing:
                    present[("link",)] = event
        return sorted(present.values(), key=lambda event: -event.at)

    def listeners(self, node: str, at: float) -> list[SocketHistory]:
        return [s for s in self.sockets if s.node == node and s.state_at(at) == "LISTEN"]

    def done_to(self, node: str, moment: float) -> str:
        """What was done to a node itself and lasted at a moment: "power cut", "paused"; else ""."""
        done = [fault for fault in self.faults(moment, node) if isinstance(fault, FaultChanged)]
        return done[0].fault if done else ""

    def moved(self, node: str, counter: str, since: float = 0.0) -> int:
        """By how much a kernel counter of a node moved."""
        return sum(
            event.change
            for event in self.events
            if isinstance(event, CounterChanged)
            and (event.node, event.name) == (node, counter)
            and event.at >= since
        )


@dataclass(frozen=True)
class Finding:
    """One cause: ``at`` is when it bit, ``about`` what it explains."""

    sentence: str
    at: float
    about: frozenset[str] = field(default_factory=frozenset)
    see_also: tuple[str, ...] = ()
    rank: int = 0

    def ranked(self, rank: int) -> Finding:
        return replace(self, rank=rank)


Fault: TypeAlias = FaultChanged | LinkChanged | LinkFailed
Rule: TypeAlias = Callable[[Evidence], Iterator[Finding]]


def attempts(evidence: Evidence, program: Run) -> list[Connection]:
    """The connections that began at a program's node while it ran."""
    until = program.ended or evidence.end
    return [
        c
        for c in evidence.traffic.connections()
        if c.client == program.node and program.started <= c.started <= until
    ]


def silent(evidence: Evidence, program: Run) -> bool:
    """Whether no packet of a program's node was seen on any segment while it ran."""
    until = program.ended or evidence.end
    names = evidence.traffic.names
    return not any(
        names.get(packet.source) == program.node and program.started <= packet.at <= until
        for packet in evidence.traffic.packets
        if packet.protocol in ("tcp", "udp")
    )


def alike(evidence: Evidence, wanted: Callable[[Connection], bool]) -> list[list[Connection]]:
    """The connections that are ``wanted``, in groups of the same client, server and port."""
    groups: dict[tuple[str, str, int], list[Connection]] = defaultdict(list)
    for connection in evidence.traffic.connections():
        if wanted(connection):
            groups[(connection.client, connection.server, connection.port)].append(connection)
    return list(groups.values())


def its_sockets(evidence: Evidence, connection: Connection) -> list[SocketHistory]:
    ends = {
        (connection.client_address, connection.server_address),
        (connection.server_address, connection.client_address),
    }
    return [s for s in evidence.sockets if (s.local, s.remote) in ends]


def still_unread(evidence: Evidence, connection: Connection, node: str) -> int:
    """Bytes that lay in a node's receive queue when its socket was last seen."""
    return max((s.receive_queue for s in its_sockets(evidence, connection) if s.node == node), default=0)


def things(connections: Iterable[Connection]) -> frozenset[str]:
    """What a finding about these connections is about."""
    return frozenset(f"{c.client_address} {c.server_address}" for c in connections)


def ends(connection: Connection) -> str:
    """A connection in a sentence."""
    return f"the connection from {connection.client} to {connection.server}:{connection.port}"


def tail(text: str) -> str:
    """The last part of an error line, which says what it is."""
    return text.strip().rpartition(": ")[2]


def many(count: int, thing: str) -> str:
    """A count with its noun: 1 SYN, 2 SYNs."""
    return f"{count} {thing}" if count == 1 else f"{count} {thing}s"


def spelled(words: Iterable[str]) -> str:
    """The words in order, as a list in a sentence."""
    return ", ".join(sorted(words))


def _programs(events: list[Event]) -> Iterator[Run]:
    runs: dict[int, Run] = {}
    for event in events:
        if isinstance(event, ProgramStarted):
            runs[event.program] = Run(event.program, event.node, event.command, event.at)
        elif isinstance(event, ProgramExited) and event.program in runs:
            runs[event.program] = replace(
                runs[event.program], ended=event.at, exit_code=event.exit_code, signal=event.signal
            )
    yield from runs.values()
