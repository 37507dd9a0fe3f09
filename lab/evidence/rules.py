"""The rules of the diagnosis: each looks at the evidence for one cause.

A finding is ``about`` some things (connections, ports): of two findings about the same, the first rule's counts.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TypeAlias

from lab.evidence.connections import Connection
from lab.evidence.datagrams import Datagram
from lab.evidence.events import Event
from lab.evidence.states import SocketLife, lives
from lab.evidence.traffic import Traffic

GRACE = 0.5  # seconds around a failing program in which a finding counts as its own
IN_USE = re.compile(r"address already in use|EADDRINUSE|errno 98\b|WinError 10048", re.IGNORECASE)
REFUSED = re.compile(r"connection refused|ECONNREFUSED|errno 111\b|WinError 10061", re.IGNORECASE)
NO_ROUTE = re.compile(r"(network|no route|host) (is unreachable|to host)", re.IGNORECASE)
NO_NAME = re.compile(
    r"(name or service not known|name resolution|not a host name|getaddrinfo|no address associated).*",
    re.IGNORECASE,
)
DECODE = re.compile(r"UnicodeDecodeError|codec can't decode|invalid (start|continuation) byte", re.IGNORECASE)
PORT = re.compile(r"(?:--port[ =]|:)(\d{1,5})\b")
LOOPBACK = ("127.", "[::1]")


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
    def sockets(self) -> list[SocketLife]:
        return lives(self.events)

    @cached_property
    def programs(self) -> list[Run]:
        return list(_programs(self.events))

    @cached_property
    def failed(self) -> list[Run]:
        """Programs that failed: those that the reason names, else all that ended badly."""
        failed = [program for program in self.programs if program.failed]
        return [p for p in failed if p.command in self.reason] or failed

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

    def faults(self, before: float, *nodes: str) -> list[Event]:
        """What was done to the link or to these nodes before a moment, the last first."""
        wanted = {"lab", "router", *nodes}
        kinds = ("fault", "link")
        return [e for e in reversed(self.events) if e.kind in kinds and e.at <= before and e.node in wanted]

    def listeners(self, node: str, at: float) -> list[SocketLife]:
        return [s for s in self.sockets if s.node == node and s.state_at(at) == "LISTEN"]

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


def address_in_use(evidence: Evidence) -> Iterator[Finding]:
    """bind() refused: somebody listens there, or connections of before are in TIME_WAIT."""
    for event, program in evidence.complaints(IN_USE):
        port = _port_of(event.text) or (_port_of(program.command) if program else 0)
        holders = [
            s for s in evidence.sockets if s.node == event.node and s.port == port and s.alive(event.at)
        ]
        holding = next((s for s in holders if s.last == "LISTEN" or s.protocol == "udp"), None)
        waiting = [s for s in holders if s.state_at(event.at) in ("TIME_WAIT", "FIN_WAIT2", "FIN_WAIT1")]
        about = frozenset({f"bind {event.node}:{port}"})
        if holding is not None:
            who = f"{holding.command} (pid {holding.pid})" if holding.pid else "another program"
            sentence = f"Port {port} of {event.node} is taken: {who} has it."
            yield Finding(sentence, event.at, about, ("address-in-use",))
        elif waiting:
            yield Finding(
                f"Port {port} of {event.node} is held by {_many(len(waiting), 'connection')} of before in "
                f"{waiting[0].state_at(event.at)}, because this end closed first; SO_REUSEADDR before bind allows it.",
                event.at,
                about,
                ("address-in-use", "time-wait"),
            )


def name_not_known(evidence: Evidence) -> Iterator[Finding]:
    for event, _ in evidence.complaints(NO_NAME):
        known = ", ".join(sorted(set(evidence.traffic.names.values())))
        sentence = f"{event.node} couldn't resolve a name ({_tail(event.text)}); the lab's names are {known}."
        yield Finding(sentence, event.at, frozenset({f"name {event.node}"}))


def to_itself(evidence: Evidence) -> Iterator[Finding]:
    """Refused, and no packet left: the address that the name stands for is the host itself."""
    for event, program in evidence.complaints(REFUSED):
        if program is None or _attempts(evidence, program):
            continue
        yield Finding(
            f"{event.node} was refused and no packet left it: the address that it connected to is its own. "
            "127.0.0.1, localhost and a host's own name mean the host itself; the other host has another address.",
            event.at,
            frozenset({f"program {program.number}"}),
            ("bind-loopback",),
        )


def wrong_host(evidence: Evidence) -> Iterator[Finding]:
    """A program that was told one node's name connected to another one."""
    titles = set(evidence.traffic.names.values())
    for program in evidence.failed:
        told = {title for title in titles if title in re.split(r"[\s:/@]+", program.command)}
        reached = {c.server for c in _attempts(evidence, program) if c.client == program.node}
        if told and reached and not told & reached:
            yield Finding(
                f"{program.node} was told {_list(told)} and connected to {_list(reached)}: "
                "the name resolves to the wrong host.",
                program.started,
                frozenset(_about(c) for c in _attempts(evidence, program)),
            )


def refused(evidence: Evidence) -> Iterator[Finding]:
    """A RST in answer to a SYN."""
    for group in _alike(evidence, lambda c: c.handshake == "refused"):
        first = group[0]
        why, see_also = _why_refused(evidence, first)
        times = f" ({len(group)} times)" if len(group) > 1 else ""
        yield Finding(
            f"{first.client} was refused by {first.server}{times}: a RST answered its SYN to port {first.port}, "
            f"for {why}.",
            first.started,
            frozenset(map(_about, group)),
            see_also,
        )


def _why_refused(evidence: Evidence, connection: Connection) -> tuple[str, tuple[str, ...]]:
    port, server, at = connection.port, connection.server, connection.started
    everything = evidence.listeners(server, at)
    here = [s for s in everything if s.port == port]
    if any(s.local.startswith(LOOPBACK) for s in here):
        local = here[0].local
        return f"the server there listens on {local} only, which no other host reaches", ("bind-loopback",)
    if connection.server_address.startswith("[") and any(s.family == 4 for s in here):
        return "the server there listens on IPv4 only", ("socket-families",)
    later = [s for s in evidence.sockets if s.node == server and s.port == port and "LISTEN" in s.names]
    if any(s.began > at for s in later):
        delay = min(s.began for s in later if s.began > at) - at
        return f"nothing listened there yet: the server came {delay:.2g} s later", ("connect-errors",)
    if any(s.ended is not None and s.ended <= at for s in later):
        return "nothing listened there any more: the server had ended", ("connect-errors",)
    others = sorted({s.port for s in everything if not s.local.startswith(LOOPBACK)})
    hint = f" (port {_list(map(str, others))} has a listener)" if others else ""
    return f"nothing listens there{hint}", ("connect-errors",)


def unanswered(evidence: Evidence) -> Iterator[Finding]:
    """A SYN that nobody answered: where it was seen last says why."""
    unlucky = ("unanswered", "half")
    for group in _alike(evidence, lambda c: c.handshake in unlucky and not c.closed_first):
        first = group[0]
        syns = sum(c.from_client.syns for c in group)
        came_out = sum(c.from_client.syns_arrived for c in group)
        answers = sum(c.from_server.syns for c in group)
        answered = sum(c.from_server.syns_arrived for c in group)
        about = frozenset(map(_about, group))
        sent = f"{first.client} sent {_many(syns, 'SYN')} to {first.server}:{first.port}"
        if not came_out:
            yield Finding(f"{sent}: {_stuck(evidence, first)}", first.started, about, ("connect-errors",))
        elif not answers:
            yield Finding(
                f"{sent}; {_of(came_out, syns)} reached the servers' side and {first.server} answered nothing: "
                f"{_why_silent(evidence, first)}.",
                first.started,
                about,
                ("connect-errors", "backlog"),
            )
        elif not answered:
            yield Finding(
                f"{sent} and {first.server} answered, but none of its {_many(answers, 'answer')} came out of the "
                f"router: the way back is cut{_by(evidence, first)}.",
                first.started,
                about,
                ("connect-errors",),
            )


def _stuck(evidence: Evidence, connection: Connection) -> str:
    """Why no SYN came out of the router."""
    if connection.unreachable:
        return (
            f"{connection.unreachable_from} answered “{connection.unreachable.removeprefix('ICMP ')}”"
            f"{_why_unreachable(evidence, connection)}."
        )
    if _asked_in_vain(evidence, connection.server_address):
        return f"{connection.server} doesn't even answer ARP: its power is off or its cable is pulled."
    return (
        f"they reached the router and none left it on the other segment: the link is cut, as in a partition"
        f"{_by(evidence, connection)}."
    )


def _why_unreachable(evidence: Evidence, connection: Connection) -> str:
    if connection.server in evidence.traffic.names.values():
        return f": {connection.server} doesn't answer on its segment, so its power is off or its cable pulled"
    return f": {connection.server} is no host of the lab, and nothing leaves it"


def _asked_in_vain(evidence: Evidence, where: str) -> bool:
    """Whether the router asked for a host's Ethernet address, and nobody had it."""
    address = where.rpartition(":")[0].strip("[]")
    arps = [p for p in evidence.traffic.packets if p.protocol == "arp"]
    return any(p.destination == address for p in arps) and not any(p.source == address for p in arps)


def _why_silent(evidence: Evidence, connection: Connection) -> str:
    server = connection.server
    if evidence.moved(server, "TcpExt.ListenOverflows") or evidence.moved(server, "TcpExt.TCPReqQFullDrop"):
        return "its backlog is full (ListenOverflows moved), because nobody accepts"
    done = [e for e in evidence.faults(connection.ended, server) if e.node == server]
    if done:
        return f"it is out of action ({done[0].text})"
    return "it is frozen, or a filter there drops them"


def _by(evidence: Evidence, connection: Connection) -> str:
    """The fault that was applied, if any stands in the timeline."""
    done = evidence.faults(connection.ended, connection.client, connection.server)
    return f" ({done[0].text})" if done else ""


def no_route(evidence: Evidence) -> Iterator[Finding]:
    """The kernel or the router knew no way."""
    for event, program in evidence.complaints(NO_ROUTE):
        if program is not None and not _attempts(evidence, program):
            yield Finding(
                f"{event.node} knows no way there ({_tail(event.text)}): no packet left it.",
                event.at,
                frozenset({f"program {program.number}"}),
                ("connect-errors",),
            )


def reset(evidence: Evidence) -> Iterator[Finding]:
    """A connection that was cut off by RST after it was made."""
    for group in _alike(evidence, lambda c: bool(c.reset_by) and c.handshake != "refused"):
        for connection in group[:1]:
            why, see_also = _why_reset(evidence, connection)
            yield Finding(
                f"{connection.reset_by} reset the connection {_ends(connection)}"
                f"{f' (and {len(group) - 1} more)' if len(group) > 1 else ''}: {why}.",
                connection.ended,
                frozenset(map(_about, group)),
                see_also,
            )


def _why_reset(evidence: Evidence, connection: Connection) -> tuple[str, tuple[str, ...]]:
    by_server = connection.reset_by == connection.server
    mine, theirs = connection.from_client, connection.from_server
    if by_server:
        mine, theirs = theirs, mine
    other = connection.client if by_server else connection.server
    if mine.fin_at is not None and mine.reset_at is not None and mine.fin_at < mine.reset_at:
        return f"it had closed, and {other} sent more", ("send-after-close",)
    if theirs.bytes and _unread(evidence, connection, by_server):
        return f"it closed with data of {other}'s unread, so {other} may lose what was under way", (
            "reset-on-close",
        )
    return "its program ended, or closed without reading all, or its kernel knew no such connection", (
        "reset-on-close",
    )


def _unread(evidence: Evidence, connection: Connection, by_server: bool) -> bool:
    node = connection.server if by_server else connection.client
    moved = evidence.moved(node, "TcpExt.TCPAbortOnClose") or evidence.moved(node, "TcpExt.TCPAbortOnData")
    return bool(moved) or any(
        s.receive_queue for s in _its_sockets(evidence, connection) if s.node == node and s.protocol == "tcp"
    )


def vanished(evidence: Evidence) -> Iterator[Finding]:
    """A peer that is gone without FIN or RST: what was sent to it is sent again and again."""
    for group in _alike(evidence, lambda c: c.handshake == "complete" and not c.closed):
        connection = group[0]
        for sender, receiver, way in (
            (connection.client, connection.server, connection.from_client),
            (connection.server, connection.client, connection.from_server),
        ):
            done = evidence.faults(evidence.end, receiver)
            if way.lost >= 2 and way.retransmissions >= 2 and way.sent > way.bytes:
                yield Finding(
                    f"{sender} sent {way.sent - way.bytes} bytes again and again ({way.retransmissions} "
                    f"retransmissions), and none came out of the router: the link is cut while both ends "
                    f"hold the connection open{f' ({done[0].text})' if done else ''}.",
                    connection.ended,
                    frozenset(map(_about, group)),
                    ("half-open",),
                )
            elif out := [e for e in done if e.node == receiver]:
                yield Finding(
                    f"{receiver} went away without a FIN ({out[0].text}), so {sender} holds half a connection "
                    f"and waits.",
                    out[0].at,
                    frozenset(map(_about, group)),
                    ("half-open",),
                )


def deadlock(evidence: Evidence) -> Iterator[Finding]:
    """Full windows: nobody reads."""
    for group in _alike(evidence, lambda c: c.from_client.zero_windows + c.from_server.zero_windows > 0):
        connection = group[0]
        stuck = [
            (who, s)
            for who, s in (
                (connection.client, connection.from_client),
                (connection.server, connection.from_server),
            )
            if s.zero_windows and _still_unread(evidence, connection, who)
        ]
        about = frozenset(map(_about, group))
        if len(stuck) == 2:
            yield Finding(
                f"{connection.client} and {connection.server} both send and neither reads: both receive buffers "
                "are full (window 0), so both wait for ever.",
                connection.ended,
                about,
                ("both-send",),
            )
        elif stuck:
            who = stuck[0][0]
            unread = _still_unread(evidence, connection, who)
            yield Finding(
                f"{who} doesn't read: {unread} bytes lie in its receive buffer, which is full (window 0), "
                f"so the other side can't go on sending.",
                connection.ended,
                about,
                ("both-send", "blocking"),
            )


def nobody_accepts(evidence: Evidence) -> Iterator[Finding]:
    """Connections that are made by the kernel and wait in the backlog."""
    for socket in evidence.sockets:
        ending = socket.ended or evidence.end
        if socket.last == "LISTEN" and socket.receive_queue and ending - socket.began > GRACE:
            yield Finding(
                f"{_many(socket.receive_queue, 'connection')} to {socket.node}:{socket.port} waited in the "
                "backlog to the end: nobody accepted them (the server serves one client at a time, or is stuck).",
                ending,
                frozenset({f"accept {socket.node}:{socket.port}"}),
                ("backlog", "blocking"),
            )


def datagrams_unreachable(evidence: Evidence) -> Iterator[Finding]:
    """UDP to where nothing listens: an ICMP error comes back, and an unconnected sender never hears of it."""
    groups: dict[tuple[str, str, int, str], list[Datagram]] = defaultdict(list)
    for datagram in evidence.traffic.datagrams():
        if datagram.unreachable:
            groups[(datagram.sender, datagram.receiver, datagram.port, datagram.unreachable)].append(datagram)
    for (sender, receiver, port, what), group in groups.items():
        if what == "ICMP port unreachable":
            why = f"nothing listens on UDP port {port} of {receiver}"
        else:
            why = f"{group[0].unreachable_from} couldn't pass it on"
        yield Finding(
            f"{sender}'s {_many(len(group), 'datagram')} to {receiver}:{port} got “{what.removeprefix('ICMP ')}” "
            f"back: {why}; only a connected UDP socket is told.",
            group[0].sent_at,
            frozenset({f"udp {receiver}:{port}"}),
            ("udp-refused",),
        )


def overrun(evidence: Evidence) -> Iterator[Finding]:
    """A receive buffer that ran over."""
    lost: Counter[str] = Counter()
    last: dict[str, float] = {}
    for event in evidence.events:
        if event.kind == "counter" and event.data and event.data["name"].endswith(".RcvbufErrors"):
            lost[event.node] += event.data["change"]
            last[event.node] = event.at
    for node, count in lost.items():
        yield Finding(
            f"{node} threw {_many(count, 'datagram')} away: they arrived while the receive buffer was full "
            "(RcvbufErrors moved), and nobody is told.",
            last[node],
            frozenset({f"overrun {node}"}),
            ("udp-overrun",),
        )


def datagrams_lost(evidence: Evidence) -> Iterator[Finding]:
    """Datagrams that never came out of the router."""
    groups: dict[tuple[str, str, int], list[Datagram]] = defaultdict(list)
    for datagram in evidence.traffic.datagrams():
        groups[(datagram.sender, datagram.receiver, datagram.port)].append(datagram)
    for (sender, receiver, port), group in groups.items():
        lost = [datagram for datagram in group if datagram.lost]
        if not lost or any(datagram.unreachable for datagram in lost):
            continue
        pieces = [datagram for datagram in lost if datagram.fragments > datagram.fragments_lost]
        how = (
            f"; of {len(pieces)} only some fragments were lost, and with one fragment the datagram is gone"
            if pieces
            else ""
        )
        yield Finding(
            f"{len(lost)} of {sender}'s {_many(len(group), 'datagram')} to {receiver}:{port} went into the router "
            f"and never came out{how}; UDP tells nobody.",
            lost[0].sent_at,
            frozenset({f"udp {receiver}:{port}"}),
            ("udp-mtu",) if pieces else ("udp-reliable",),
        )


def undecodable(evidence: Evidence) -> Iterator[Finding]:
    """Bytes that are no text: another encoding, or a character that a recv() cut in two."""
    for event, _ in evidence.complaints(DECODE):
        cut = "unexpected end of data" in event.text
        why = (
            "the bytes end within a character: a recv() cut it in two"
            if cut
            else "the bytes aren't in the encoding that they were taken for (a Windows console speaks GBK)"
        )
        yield Finding(
            f"{event.node} couldn't decode what it received: {why}.",
            event.at,
            frozenset({f"decode {event.node}"}),
            ("split-character",) if cut else ("gbk-console", "split-character"),
        )


def never_read(evidence: Evidence) -> Iterator[Finding]:
    """Data that arrived and lay there."""
    for socket in evidence.sockets:
        stays = (socket.ended or evidence.end) - socket.began > GRACE
        waiting = socket.last in ("ESTABLISHED", "CLOSE_WAIT") and socket.receive_queue and stays
        if socket.protocol == "tcp" and waiting:
            yield Finding(
                f"{socket.receive_queue} bytes arrived at {socket.node}:{socket.port} and were never read.",
                socket.ended or evidence.end,
                frozenset({f"{_side(socket)}"}),
                ("blocking",),
            )


def closed_early(evidence: Evidence) -> Iterator[Finding]:
    """A peer that closed before it answered."""
    for group in _alike(
        evidence, lambda c: c.handshake == "complete" and bool(c.closed_first) and not c.reset_by
    ):
        connection = group[0]
        answered = connection.from_server.bytes
        if connection.closed_first == connection.server and connection.from_client.bytes and not answered:
            yield Finding(
                f"{connection.server} closed {_ends(connection)} first, without a byte of an answer to "
                f"{connection.from_client.bytes} bytes: its program ended or gave up; its output says more.",
                connection.ended,
                frozenset(map(_about, group)),
            )


def both_wait(evidence: Evidence) -> Iterator[Finding]:
    """An open connection on which nothing more happens."""
    for group in _alike(evidence, lambda c: c.handshake == "complete"):
        connection = group[0]
        heard, said = connection.from_client.bytes, connection.from_server.bytes
        quiet = (_first_close(connection) or evidence.end) - _last_data(evidence, connection)
        if said or quiet < 2 * GRACE:
            continue
        if not heard:
            yield Finding(
                f"{_ends(connection).capitalize()} was made, and neither side sent a byte: each waits for the other. "
                "(TCP sends nothing for an empty message.)",
                connection.started,
                frozenset(map(_about, group)),
                ("empty-message", "blocking"),
            )
        elif not connection.from_client.fin_arrived or connection.closed_first == connection.client:
            yield Finding(
                f"{connection.server} got all {heard} bytes of {connection.client}'s and sent nothing for "
                f"{quiet:.1f} s: it waits for more, or is busy.",
                connection.started,
                frozenset(map(_about, group)),
                ("one-recv", "blocking"),
            )


RULES: tuple[Rule, ...] = (
    address_in_use, name_not_known, wrong_host, to_itself, refused, unanswered, no_route, reset, deadlock, vanished,
    overrun, datagrams_unreachable, datagrams_lost, undecodable, nobody_accepts, never_read, both_wait, closed_early,
)  # fmt: skip


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


def _attempts(evidence: Evidence, program: Run) -> list[Connection]:
    """The connections that began at a program's node while it ran."""
    until = program.ended or evidence.end
    return [
        c
        for c in evidence.traffic.connections()
        if c.client == program.node and program.started <= c.started <= until
    ]


def _alike(evidence: Evidence, wanted: Callable[[Connection], bool]) -> list[list[Connection]]:
    """The connections that are ``wanted``, in groups of the same client, server and port."""
    groups: dict[tuple[str, str, int], list[Connection]] = defaultdict(list)
    for connection in evidence.traffic.connections():
        if wanted(connection):
            groups[(connection.client, connection.server, connection.port)].append(connection)
    return list(groups.values())


def _its_sockets(evidence: Evidence, connection: Connection) -> list[SocketLife]:
    ends = {
        (connection.client_address, connection.server_address),
        (connection.server_address, connection.client_address),
    }
    return [s for s in evidence.sockets if (s.local, s.remote) in ends]


def _still_unread(evidence: Evidence, connection: Connection, node: str) -> int:
    """Bytes that lay in a node's receive queue when its socket was last seen."""
    return max((s.receive_queue for s in _its_sockets(evidence, connection) if s.node == node), default=0)


def _last_data(evidence: Evidence, connection: Connection) -> float:
    """When a byte last passed on this connection, or when it was made."""
    ends = {connection.client_address, connection.server_address}
    last = connection.started
    for passage in evidence.traffic.passages:
        packet = passage.sent
        if packet.protocol == "tcp" and packet.length and packet.at > last:
            if {_end(packet.source, packet.sport), _end(packet.destination, packet.dport)} == ends:
                last = packet.at
    return last


def _first_close(connection: Connection) -> float | None:
    times = [
        at
        for way in (connection.from_client, connection.from_server)
        for at in (way.fin_at, way.reset_at)
        if at is not None
    ]
    return min(times, default=None)


def _end(address: str, port: int) -> str:
    return f"[{address}]:{port}" if ":" in address else f"{address}:{port}"


def _about(connection: Connection) -> str:
    return f"{connection.client_address} {connection.server_address}"


def _side(socket: SocketLife) -> str:
    return f"{socket.remote} {socket.local}"


def _ends(connection: Connection) -> str:
    return f"the connection from {connection.client} to {connection.server}:{connection.port}"


def _port_of(text: str) -> int:
    found = PORT.findall(text)
    return int(found[-1]) if found else 0


def _tail(text: str) -> str:
    """The last part of an error line, which says what it is."""
    return text.strip().rpartition(": ")[2]


def _many(count: int, thing: str) -> str:
    return f"{count} {thing}" if count == 1 else f"{count} {thing}s"


def _of(count: int, total: int) -> str:
    return ("it" if total == 1 else "all") if count == total else f"{count}"


def _list(words: object) -> str:
    items = sorted(words)  # type: ignore[call-overload]
    return ", ".join(items)
