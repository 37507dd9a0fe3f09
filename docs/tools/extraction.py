"""Makes a recording from a run's folder: each program's output and the packets, variant by variant."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Iterable, Sequence
from pathlib import Path

from docs.tools.recording import Part, ProgramOutput, Recording, Step
from docs.tools.source import fingerprint
from lab.cli.output.abbreviation import cut, shortened
from lab.evidence.diagram.lanes import lanes
from lab.evidence.diagram.packet_path import SLOW
from lab.evidence.diagram.rows import Row, arrows, ends, hidden_acks
from lab.evidence.event_text import render
from lab.evidence.events import (
    Event,
    FaultChanged,
    LinkChanged,
    LinkFailed,
    Note,
    Output,
    ProgramEvent,
    ProgramExited,
    ProgramStarted,
    VariantBegan,
)
from lab.evidence.packets import traffic
from lab.evidence.packets.traffic import Traffic
from lab.evidence.record import read_events
from lab.protocols.printable import printable
from lab.scenarios.catalog import Scenario

ROWS = 20  # arrows in one diagram
ACTIVE = (ProgramEvent, FaultChanged)  # events of nodes that take part in a run
FIRST, LAST = 16, 4  # lines kept of one program's output


def keep(scenario: Scenario, folder: Path) -> Recording:
    """The recording of the run in ``folder``. Raises OSError, ValueError."""
    about = json.loads((folder / "record.json").read_text(encoding="utf-8"))
    events, passed = read_events(folder), traffic.load(folder)
    begun = [(event.variant, event.at) for event in events if isinstance(event, VariantBegan)] or [("", 0.0)]
    borders = [*(at for _, at in begun[1:]), math.inf]
    columns = list(lanes(passed, {event.node for event in events if isinstance(event, ACTIVE)}).shown)
    return Recording(
        scenario=scenario.name,
        fingerprint=fingerprint(scenario),
        verdict=about["verdict"],
        date=time.strftime("%Y-%m-%d", time.gmtime(about["started"])),
        seconds=about["seconds"],
        backend=about["impairment"]["backend"] if about["impairment"]["changes"] else "",
        versions=about["versions"] | {"kernel": about["versions"]["kernel"].partition("-")[0]},
        record=about["record"],
        lanes=columns,
        parts=[
            _part(scenario, variant, events, passed, columns, since, until)
            for (variant, since), until in zip(begun, borders, strict=True)
        ],
    )


def _part(
    scenario: Scenario,
    variant: str,
    events: Sequence[Event],
    passed: Traffic,
    columns: Sequence[str],
    since: float,
    until: float,
) -> Part:
    within = [event for event in events if since <= event.at < until]
    said = [_said(scenario, event, events) for event in within if isinstance(event, ProgramStarted)]
    found = arrows(passed, columns, since, until, acks=scenario.acks)
    hidden = 0 if scenario.acks else hidden_acks(passed, columns, since, until)
    return Part(variant, said, _steps(found, within), hidden)


def _said(scenario: Scenario, start: ProgramStarted, events: Iterable[Event]) -> ProgramOutput:
    of_it = [e for e in events if isinstance(e, ProgramEvent) and e.program == start.program]
    lines = [cut(printable(event.line)) for event in of_it if isinstance(event, Output)]
    left_out = max(0, len(lines) - FIRST - LAST)
    return ProgramOutput(
        node=start.node,
        command="\n> ".join(map(printable, shortened(start.command, scenario.programs).strip().splitlines())),
        lines=lines[:FIRST] if left_out else lines,
        left_out=left_out,
        last=lines[-LAST:] if left_out else [],
        end=next((render(event) for event in of_it if isinstance(event, ProgramExited)), ""),
    )


def _steps(found: list[Row], events: Iterable[Event]) -> list[Step]:
    """The packets, and the faults, link settings and notes in between, in the order of time."""
    if not found:
        return []
    first, last = found[0].transit.sent.at, found[-1].until
    shown, left_out = ends(found, ROWS)
    steps = [_arrow(row, first) if row else _gap(left_out, first) for row in shown]
    steps += [Step(round(event.at - first, 4), note=_told(event)) for event in events if _counts(event, last)]
    return sorted(steps, key=lambda step: step.at)


def _counts(event: Event, last: float) -> bool:
    """Whether it can affect the packets: after the last one, only a fault that was never healed counts."""
    if not isinstance(event, FaultChanged | LinkChanged | LinkFailed | Note):
        return False
    return event.at < last or (isinstance(event, FaultChanged) and event.edge == "begin")


def _told(event: Event) -> str:
    line = printable(render(event))
    return f"{event.node}: {line}" if isinstance(event, FaultChanged) else line


def _arrow(row: Row, first: float) -> Step:
    delay = row.transit.delay or 0.0
    return Step(
        round(row.transit.sent.at - first, 4),
        row.path.sender,
        row.path.receiver or row.path.nodes[-1],
        row.label,
        row.transit.fate,
        row.transit.mark,
        round(delay, 4) if delay >= SLOW else 0.0,
        lost_at=row.path.lost_at,
        translation=row.translation,
    )


def _gap(rows: list[Row], first: float) -> Step:
    return Step(
        round(rows[0].transit.sent.at - first, 4),
        left_out=sum(row.count for row in rows),
        lost=sum(row.transit.fate == "lost" for row in rows),
    )
