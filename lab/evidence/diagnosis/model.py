"""A case for the diagnosis: all that is known of a run, and what a rule finds in it."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TypeAlias

from lab.evidence.events import Event
from lab.evidence.packets.connections import Connection
from lab.evidence.packets.traffic import Traffic
from lab.evidence.socket_history import SocketHistory, socket_histories

GRACE = 0.5  # seconds around a failing program in which a finding counts as its own


@dataclass(frozen=True)
class Run:
    """A program's run on a node, as its events tell it."""

    number: int
    node: str
    command: str
    started: float
    ended: float | None = None
    ending: str = ""
    output: tuple[str, ...] = ()

    @property
    def failed(self) -> bool:
        """It ended with an exit code other than 0, or a signal that nobody of us sent."""
        return self.ending not in ("", "exit code 0", "killed by SIGTERM", "exit code 143")


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
        said = ("start", "stdout", "stderr", "exit", "counter")
        events = [event for event in self.events if event.kind not in said or event.at >= moment]
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

    def complaints(self, pattern: re.Pattern[str]) -> Iterator[tuple[Event, Run | None]]:
        """Lines that programs said, and the reason itself, where they match."""
        runs = {program.number: program for program in self.programs}
        for event in self.events:
            if event.kind in ("stdout", "stderr") and pattern.search(event.text):
                yield event, runs.get(event.program)

    def faults(self, moment: float, *nodes: str) -> list[Event]:
        """What was done to the link or to these nodes and lasted at a moment; the last first."""
        wanted = {"lab", "router", *nodes}
        lasting: dict[str, Event] = {}
        for event in self.events:
            if event.at <= moment and event.node in wanted and event.kind in ("fault", "link"):
                data = event.data or {}
                fault = "link" if event.kind == "link" else f"{event.node} {data.get('fault', event.text)}"
                if data.get("edge") == "end" or event.text.endswith("unimpaired"):
                    lasting.pop(fault, None)
                elif event.kind == "fault" or "measured" not in data:
                    lasting[fault] = event
        return sorted(lasting.values(), key=lambda event: -event.at)

    def listeners(self, node: str, at: float) -> list[SocketHistory]:
        return [s for s in self.sockets if s.node == node and s.state_at(at) == "LISTEN"]

    def done_to(self, node: str, moment: float) -> str:
        """What was done to a node itself and lasted at a moment: "power cut", "paused"; else ""."""
        done = [event.text for event in self.faults(moment, node) if event.node == node]
        return done[0] if done else ""

    def moved(self, node: str, counter: str, since: float = 0.0) -> int:
        """By how much a kernel counter of a node moved."""
        changes = (e for e in self.events if e.kind == "counter" and e.node == node and e.at >= since)
        return sum(e.data["change"] for e in changes if e.data and e.data["name"] == counter)


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
    begun: dict[int, Run] = {}
    output: dict[int, list[str]] = defaultdict(list)
    for event in events:
        if event.kind == "start":
            begun[event.program] = Run(event.program, event.node, event.text, event.at)
        elif event.kind == "stderr":
            output[event.program].append(event.text)
        elif event.kind == "exit" and event.program in begun:
            begun[event.program] = replace(begun[event.program], ended=event.at, ending=event.text)
    for number, program in begun.items():
        yield replace(program, output=tuple(output[number][-5:]))
