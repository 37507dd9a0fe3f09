"""Rules that begin with what a program said: an errno, an exception."""

from __future__ import annotations

import re
from collections.abc import Iterator

from lab.evidence.diagnosis.model import Evidence, Finding, attempts, many, silent, spelled, tail, things

IN_USE = re.compile(r"address already in use|EADDRINUSE|errno 98\b|WinError 10048", re.IGNORECASE)
REFUSED = re.compile(r"connection refused|ECONNREFUSED|errno 111\b|WinError 10061", re.IGNORECASE)
NO_ROUTE = re.compile(r"(network|no route|host) (is unreachable|to host)", re.IGNORECASE)
NO_NAME = re.compile(
    r"(name or service not known|name resolution|not a host name|getaddrinfo|no address associated).*",
    re.IGNORECASE,
)
DECODE = re.compile(r"UnicodeDecodeError|codec can't decode|invalid (start|continuation) byte", re.IGNORECASE)
PORT = re.compile(r"(?:--port[ =]|:)(\d{1,5})\b")


def address_in_use(evidence: Evidence) -> Iterator[Finding]:
    """bind() refused: somebody listens there, or connections of before are in TIME_WAIT."""
    for event, program in evidence.complaints(IN_USE):
        port = _port_of(event.line) or (_port_of(program.command) if program else 0)
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
                f"Port {port} of {event.node} is held by {many(len(waiting), 'connection')} of before in "
                f"{waiting[0].state_at(event.at)}, because this end closed first; "
                "SO_REUSEADDR before bind allows it.",
                event.at,
                about,
                ("address-in-use", "time-wait"),
            )


def name_not_known(evidence: Evidence) -> Iterator[Finding]:
    """A name that nobody knows."""
    for event, _ in evidence.complaints(NO_NAME):
        known = ", ".join(sorted(set(evidence.traffic.names.values())))
        sentence = f"{event.node} couldn't resolve a name ({tail(event.line)}); the lab's names are {known}."
        yield Finding(sentence, event.at, frozenset({f"name {event.node}"}))


def to_itself(evidence: Evidence) -> Iterator[Finding]:
    """Refused, and no packet left: the address that the name stands for is the host itself."""
    for event, program in evidence.complaints(REFUSED):
        if program is None or not silent(evidence, program):
            continue
        yield Finding(
            f"{event.node} was refused and no packet left it: the address that it connected to is its own. "
            "127.0.0.1, localhost and a host's own name mean the host itself; the other has another address.",
            event.at,
            frozenset({f"program {program.number}"}),
            ("bind-loopback",),
        )


def wrong_host(evidence: Evidence) -> Iterator[Finding]:
    """A program that was told one node's name connected to another one."""
    titles = set(evidence.traffic.names.values())
    for program in evidence.failed:
        told = {title for title in titles if title in re.split(r"[\s:/@]+", program.command)}
        reached = {c.server for c in attempts(evidence, program) if c.client == program.node}
        if told and reached and not told & reached:
            yield Finding(
                f"{program.node} was told {spelled(told)} and connected to {spelled(reached)}: "
                "the name resolves to the wrong host.",
                program.started,
                things(attempts(evidence, program)),
            )


def no_route(evidence: Evidence) -> Iterator[Finding]:
    """The kernel or the router knew no way."""
    for event, program in evidence.complaints(NO_ROUTE):
        if program is not None and silent(evidence, program):
            yield Finding(
                f"{event.node} knows no way there ({tail(event.line)}): no packet left it.",
                event.at,
                frozenset({f"program {program.number}"}),
                ("connect-errors",),
            )


def undecodable(evidence: Evidence) -> Iterator[Finding]:
    """Bytes that are no text: another encoding, or a character that a recv() cut in two."""
    for event, _ in evidence.complaints(DECODE):
        cut = "unexpected end of data" in event.line
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


def _port_of(text: str) -> int:
    found = PORT.findall(text)
    return int(found[-1]) if found else 0
