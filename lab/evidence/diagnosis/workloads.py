"""Rules about the users' containers."""

from __future__ import annotations

from collections.abc import Iterator

from lab.evidence.diagnosis.model import Evidence, Finding, subjects
from lab.evidence.event_text import workload_ending
from lab.evidence.events import WorkloadEnded, WorkloadStarted
from lab.evidence.packets.connections import Connection
from lab.locale import Message, message

LINES = 3  # of its last output, in the sentence


def container_ended(evidence: Evidence) -> Iterator[Finding]:
    """A container ended by itself: with an error, or before a client tried to connect."""
    evidence = evidence.until_failure
    for event in evidence.events:
        if not isinstance(event, WorkloadEnded) or _was_cut(evidence, event):
            continue
        refused, broken = _refused(evidence, event), _broken(evidence, event)
        if event.exit_code == 0 and not refused:
            continue
        about = subjects([*refused, *broken]) | {f"container {event.node}"}
        sentence = message(
            "{what}{output}",
            what=_sentence(event, refused),
            output=_last_output(event) if event.last_lines else "",
        )
        yield Finding(sentence, refused[0].started if refused else event.at, about)


def _was_cut(evidence: Evidence, event: WorkloadEnded) -> bool:
    """Whether the lab killed the container together with its host."""
    return any(fault.fault == "power cut" for fault in evidence.node_faults(event.node, event.at))


def _refused(evidence: Evidence, event: WorkloadEnded) -> list[Connection]:
    """The connections that the host refused until its container was started again."""
    starts = [
        e.at
        for e in evidence.events
        if isinstance(e, WorkloadStarted) and e.node == event.node and e.at > event.at
    ]
    until = min(starts, default=float("inf"))
    return [
        connection
        for connection in evidence.traffic.connections()
        if connection.server == event.node
        and connection.handshake == "refused"
        and event.at <= connection.started < until
    ]


def _broken(evidence: Evidence, event: WorkloadEnded) -> list[Connection]:
    """The connections of the host that were open when its container ended."""
    return [
        connection
        for connection in evidence.traffic.connections()
        if event.node in (connection.client, connection.server)
        and connection.started <= event.at <= connection.ended
    ]


def _sentence(event: WorkloadEnded, refused: list[Connection]) -> Message:
    node, ending = event.node, workload_ending(event)
    if refused:
        return message(
            "The container of {node} ended ({ending}) {seconds:.2g} s before {node} refused {client} at port"
            " {port}.",
            node=node,
            ending=ending,
            seconds=refused[0].started - event.at + event.earlier,
            client=refused[0].client,
            port=refused[0].port,
        )
    if event.earlier:
        return message(
            "The container of {node} had ended before the run ({ending}).", node=node, ending=ending
        )
    return message("The container of {node} ended by itself ({ending}).", node=node, ending=ending)


def _last_output(event: WorkloadEnded) -> Message:
    lines = event.last_lines.splitlines()[-LINES:]
    return message(" Its last output: {lines}", lines=" / ".join(lines))
