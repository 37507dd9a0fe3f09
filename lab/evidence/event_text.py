"""The text of events. Only this module turns the fields of an event into a line for a reader."""

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
    WorkloadEnded,
    WorkloadStarted,
)
from lab.locale import Message, message

# The texts of a fault's beginning and end.
FAULTS = {
    "power cut": (message("power cut"), message("power on")),
    "paused": (message("paused"), message("resumed")),
    "cable pulled": (message("cable pulled"), message("cable plugged in")),
    "disk full": (message("disk full"), message("disk has room again")),
}

NO_NAMES: Mapping[str, str] = {}


def render(event: Event, names: Mapping[str, str] = NO_NAMES, language: str = "en") -> str:
    """The event in one line. ``names`` maps addresses to node names, for sockets and packets."""
    text = describe(event, names)
    return text.in_language(language) if isinstance(text, Message) else text


def describe(event: Event, names: Mapping[str, str] = NO_NAMES) -> Message | str:
    """The event's text: a Message if it is from the lab, a str if it is from a program or a scenario."""
    match event:
        case ProgramStarted():
            return event.command
        case Output():
            return event.line
        case ProgramExited():
            return ending(event.exit_code, event.signal)
        case WorkloadStarted():
            return message(
                "container {container}: {command}", container=event.container, command=event.command
            )
        case WorkloadEnded():
            return _workload_ended(event)
        case FaultChanged():
            return _fault(event)
        case LinkChanged():
            return _of_link(event.link, message("link: {settings}", settings=event.asked))
        case LinkMeasured():
            return _of_link(event.link, _measured(event.measured))
        case LinkFailed():
            return _of_link(event.link, message("link: {reason}", reason=event.reason))
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


def ending(exit_code: int | None, signal: str | None) -> Message:
    """How a program ended: "exit code 1", "killed by SIGTERM"."""
    if signal:
        return message("killed by SIG{signal}", signal=signal)
    if exit_code is None:
        return message("still running")
    return message("exit code {exit_code}", exit_code=exit_code)


def workload_ending(event: WorkloadEnded) -> Message:
    """How a container ended: "exit code 1", "out of memory"."""
    if event.error:
        return message("not started, {error}", error=event.error)
    if event.exit_code is None and not event.signal:
        return message("exit code unknown")
    how = ending(event.exit_code, event.signal)
    return message("{ending}, out of memory", ending=how) if event.out_of_memory else how


def _workload_ended(event: WorkloadEnded) -> Message:
    how = workload_ending(event)
    if event.earlier:
        return message(
            "container {container} isn't running: it ended {seconds:.0f} s before the run, {ending}",
            container=event.container,
            seconds=event.earlier,
            ending=how,
        )
    return message("container {container} ended: {ending}", container=event.container, ending=how)


def _fault(event: FaultChanged) -> Message | str:
    """ "power cut" at the beginning of the fault, "power on" at its end."""
    partition, _, sets = event.fault.partition(": ")
    if partition == "partition":
        begin_of = message("partition: {sets}", sets=sets)
        return begin_of if event.edge == "begin" else message("partition healed: {sets}", sets=sets)
    unknown = event.fault, message("{fault}: over", fault=event.fault)
    begin, end = FAULTS.get(event.fault, unknown)
    text = begin if event.edge == "begin" else end
    if not event.container:
        return text
    return message("{fault}, with its container {container}", fault=text, container=event.container)


def _of_link(name: str, text: Message) -> Message:
    """``text`` with the name of the link, if it has one."""
    return message("{link} {text}", link=name, text=text) if name else text


def _measured(checks_by_way: Measured) -> Message:
    """The measured values that matter, by direction."""
    ways = []
    for way, checks in checks_by_way.items():
        values = [
            f"{check.what} {check.show(check.measured)}" if check.is_known else check.note
            for check in checks
            if check.matters
        ]
        ways.append(f"{way} {', '.join(values)}")
    if any(check.ok is False for checks in checks_by_way.values() for check in checks):
        return message("link measured: {values} – not as asked", values="; ".join(ways))
    return message("link measured: {values}", values="; ".join(ways))


def _socket(event: SocketChanged, names: Mapping[str, str]) -> str:
    """ "tcp *:8001 LISTEN", "tcp alice:40112 – bob:8001 SYN_SENT"."""
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
