"""The text of events: the one place in which an event's fields become a line for a reader."""

from __future__ import annotations

from collections.abc import Mapping

from lab.evidence.endpoint import Endpoint
from lab.evidence.events import (
    CounterChanged,
    Event,
    FaultChanged,
    LinkChanged,
    LinkFailed,
    LinkMeasured,
    Measured,
    Note,
    Output,
    PacketPassed,
    ProgramExited,
    ProgramStarted,
    SocketChanged,
    VariantBegan,
    VerdictGiven,
)

# How the end of a fault is called; its beginning is called like the fault.
HEALED = {
    "power cut": "power on",
    "paused": "resumed",
    "cable pulled": "cable plugged in",
    "disk full": "disk has room again",
}

NO_NAMES: Mapping[str, str] = {}


def render(event: Event, names: Mapping[str, str] = NO_NAMES) -> str:
    """The event in one line. ``names`` gives a node's name by address, for sockets and packets."""
    match event:
        case ProgramStarted():
            return event.command
        case Output():
            return event.line
        case ProgramExited():
            return ending(event.exit_code, event.signal)
        case FaultChanged():
            return fault(event)
        case LinkChanged():
            return f"link: {event.asked.describe()}"
        case LinkMeasured():
            return f"link measured: {measured(event.measured)}"
        case LinkFailed():
            return f"link: {event.reason}"
        case Note():
            return event.text
        case VariantBegan():
            return event.variant
        case SocketChanged():
            return _socket(event, names)
        case CounterChanged():
            return f"{event.name} {event.change:+d}"
        case PacketPassed():
            return _packet(event, names)
        case VerdictGiven():
            return f"{event.verdict}: {event.reason}" if event.reason else event.verdict
        case _:
            raise TypeError(f"no text for {event!r}")


def ending(exit_code: int | None, signal: str | None) -> str:
    """How a program ended: "exit code 1", "killed by SIGTERM"."""
    if signal:
        return f"killed by SIG{signal}"
    return "still running" if exit_code is None else f"exit code {exit_code}"


def fault(event: FaultChanged) -> str:
    """ "power cut" at the beginning of the fault, "power on" at its end."""
    return event.fault if event.edge == "begin" else HEALED.get(event.fault, f"{event.fault}: over")


def measured(checks_by_way: Measured) -> str:
    """The measured values that matter, by direction."""
    ways = []
    for way, checks in checks_by_way.items():
        values = [f"{check.what} {check.show(check.measured)}" for check in checks if check.matters]
        ways.append(f"{way} {', '.join(values)}")
    wrong = any(check.ok is False for checks in checks_by_way.values() for check in checks)
    return "; ".join(ways) + (" – not as asked" if wrong else "")


def _socket(event: SocketChanged, names: Mapping[str, str]) -> str:
    """ "tcp *:8001 LISTEN", "tcp kali:40112 – win10:8001 SYN_SENT"."""
    where = _named(event.local, names)
    if event.remote != Endpoint("*", 0):
        where += f" – {_named(event.remote, names)}"
    state = event.state or "closed"
    change = f"{event.was} → {state}" if event.was and event.was != state else state
    return f"{event.protocol} {where} {change}{_queues(event)}"


def _queues(event: SocketChanged) -> str:
    received, unsent = event.receive_queue, event.send_queue
    if event.state == "LISTEN":
        return f", {received} of {unsent} wait to be accepted" if received else ""
    if not event.state:
        return ""
    return f", {received} bytes to read" * bool(received) + f", {unsent} bytes to send" * bool(unsent)


def _packet(event: PacketPassed, names: Mapping[str, str]) -> str:
    ends = f"{_named(event.source, names)} → {_named(event.destination, names)}"
    fate = f", {event.fate}" if event.fate in ("lost", "appeared") else ""
    return f"{ends} {event.label}{fate}{f', {event.mark}' * bool(event.mark)}"


def _named(where: Endpoint, names: Mapping[str, str]) -> str:
    return str(Endpoint(names.get(where.address, where.address), where.port))
