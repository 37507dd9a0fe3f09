"""Rules that start from a program's output: an errno, an exception."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator

from lab.evidence.diagnosis.model import Evidence, Finding, Run, listed, subjects
from lab.evidence.diagnosis.phrases import node_state
from lab.evidence.events import Output
from lab.evidence.socket_history import SocketHistory
from lab.locale import Message, message, messages

IN_USE = re.compile(r"address already in use|EADDRINUSE|errno 98\b|WinError 10048", re.IGNORECASE)
REFUSED = re.compile(r"connection refused|ECONNREFUSED|errno 111\b|WinError 10061", re.IGNORECASE)
NO_ROUTE = re.compile(r"(network|no route|host) (is unreachable|to host)", re.IGNORECASE)
NO_NAME = re.compile(
    r"(name or service not known|name resolution|not a host name|getaddrinfo|no address associated).*",
    re.IGNORECASE,
)
DECODE = re.compile(r"UnicodeDecodeError|codec can't decode|invalid (start|continuation) byte", re.IGNORECASE)
PORT = re.compile(r"(?:--port[ =]|:)(\d{1,5})\b")
CLOSING = ("TIME_WAIT", "FIN_WAIT2", "FIN_WAIT1")


def address_in_use(evidence: Evidence) -> Iterator[Finding]:
    """bind() failed: another socket has the port, or earlier connections are in TIME_WAIT."""
    for event, program in evidence.output_matching(IN_USE):
        port = _last_port(event.line) or (_last_port(program.command) if program else 0)
        holders = [
            socket
            for socket in evidence.sockets
            if (socket.node, socket.port) == (event.node, port) and socket.alive(event.at)
        ]
        bind = frozenset({f"bind {event.node}:{port}"})
        owner = next((s for s in holders if s.last == "LISTEN" or s.protocol == "udp"), None)
        closing = [socket for socket in holders if socket.state_at(event.at) in CLOSING]
        if owner is not None:
            yield Finding(_port_taken(owner), event.at, bind, ("address-in-use",))
        elif closing:
            sentence = _port_in_time_wait(closing, event.at)
            yield Finding(sentence, event.at, bind, ("address-in-use", "time-wait"))


def _port_taken(owner: SocketHistory) -> Message:
    known = message("{command} (pid {pid})", command=owner.command, pid=owner.pid)
    return message(
        "Port {port} of {node} is in use by {owner}.",
        port=owner.port,
        node=owner.node,
        owner=known if owner.pid else message("another program"),
    )


def _port_in_time_wait(closing: list[SocketHistory], at: float) -> Message:
    earlier = messages("{count} earlier connection", "{count} earlier connections", count=len(closing))
    return message(
        "Port {port} of {node} is held by {connections} in {state}, because this side closed first; set "
        "SO_REUSEADDR before bind().",
        port=closing[0].port,
        node=closing[0].node,
        connections=earlier,
        state=closing[0].state_at(at),
    )


def unknown_name(evidence: Evidence) -> Iterator[Finding]:
    """A host name couldn't be resolved."""
    for event, _ in evidence.output_matching(NO_NAME):
        sentence = message(
            "{node} couldn't resolve a host name ({error}); the lab's host names are {names}.",
            node=event.node,
            error=_error(event),
            names=listed(set(evidence.traffic.names.values())),
        )
        yield Finding(sentence, event.at, frozenset({f"name {event.node}"}))


def own_address(evidence: Evidence) -> Iterator[Finding]:
    """A connection was refused, and no packet left: the host connected to itself."""
    for event, program in evidence.output_matching(REFUSED):
        if (
            program is None
            or not evidence.sent_nothing(program)
            or evidence.has_unseen_neighbours(event.node)
        ):
            continue  # packets to a neighbour are in no capture
        sentence = message(
            "{node} was refused and no packet left it: it connected to an address of its own. 127.0.0.1, "
            "localhost and a host's own name mean the host itself; use the address of the other host.",
            node=event.node,
        )
        yield Finding(sentence, event.at, frozenset({f"program {program.number}"}), ("bind-loopback",))


def wrong_host(evidence: Evidence) -> Iterator[Finding]:
    """A program's command names one node, but the program connected to another one."""
    nodes = set(evidence.traffic.names.values())
    for program in evidence.failed:
        connections = evidence.connections_of(program)
        named = nodes & set(re.split(r"[\s:/@]+", program.command))
        names = evidence.traffic.names
        asked = {names.get(c.server_address.address, "") for c in connections}  # perhaps of a forwarded port
        reached = {connection.server for connection in connections}
        if named and reached and not named & (reached | asked):
            sentence = message(
                "The command on {node} names {named}, but it connected to {reached}: the name resolves to "
                "the wrong host.",
                node=program.node,
                named=listed(named),
                reached=listed(reached),
            )
            yield Finding(sentence, program.started, subjects(connections))


def no_route(evidence: Evidence) -> Iterator[Finding]:
    """The host had no route, or no answer to ARP on its own segment; so it sent nothing."""
    for event, program in evidence.output_matching(NO_ROUTE):
        if program is not None and evidence.sent_nothing(program):
            if silent := _silent_neighbour(evidence, program):
                sentence = message(
                    "{node} got no answer to ARP from {neighbour} on its own segment ({error}): {state}.",
                    node=event.node,
                    neighbour=silent,
                    error=_error(event),
                    state=node_state(evidence, silent, event.at)
                    or message("its power is off or its cable is unplugged"),
                )
            else:
                sentence = message(
                    "{node} has no route to the address ({error}), so it sent no packet.",
                    node=event.node,
                    error=_error(event),
                )
            yield Finding(sentence, event.at, frozenset({f"program {program.number}"}), ("connect-errors",))


def _silent_neighbour(evidence: Evidence, program: Run) -> str:
    """The host for whose address the program's node repeated its ARP request; "" if there is none."""
    names, until = evidence.traffic.names, program.ended or evidence.end
    asked = Counter(
        names.get(packet.destination, "")
        for packet in (transit.sent for transit in evidence.traffic.transits)
        if packet.protocol == "arp" and names.get(packet.source) == program.node
        if program.started <= packet.at <= until
    )
    ((name, count),) = asked.most_common(1) or [("", 0)]
    return name if count > 1 else ""


def undecodable(evidence: Evidence) -> Iterator[Finding]:
    """Bytes couldn't be decoded: they have another encoding, or a recv() ended within a character."""
    for event, _ in evidence.output_matching(DECODE):
        if "unexpected end of data" in event.line:
            why = message("they end within a character, which a recv() cut in two")
            see_also: tuple[str, ...] = ("split-character",)
        else:
            why = message("they have another encoding than expected (a Windows console uses GBK)")
            see_also = ("gbk-console", "split-character")
        sentence = message(
            "{node} couldn't decode the bytes that it received: {why}.", node=event.node, why=why
        )
        yield Finding(sentence, event.at, frozenset({f"decode {event.node}"}), see_also)


def _error(event: Output) -> str:
    """The last part of an error line, which names the error."""
    return event.line.strip().rpartition(": ")[2]


def _last_port(text: str) -> int:
    """The last port in a command or an error line; 0 if there is none."""
    found = PORT.findall(text)
    return int(found[-1]) if found else 0
