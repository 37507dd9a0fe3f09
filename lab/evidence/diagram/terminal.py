"""A run's packets as a sequence diagram for the terminal: a lane for each node, an arrow for each packet.

       alice                  router                 bob
       │─ SYN → 8001 ────────▶│─────────────────────▶│
       │◀─────────────────────│◀─────────── SYN ACK ─│

The result is text; each span has the name of a style, for which the terminal's view selects the colours. The
last lines name the lanes and count the packets that aren't shown.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator, Mapping, Sequence

from rich.cells import cell_len, set_cell_size

from lab.evidence.diagram.drawing import TIME, Drawing, Span
from lab.evidence.diagram.lanes import Lanes, is_between, lanes, packets_by_path
from lab.evidence.diagram.packet_path import Path
from lab.evidence.diagram.rows import Row, arrows, ends, folded_packets, hidden_acks
from lab.evidence.packets.traffic import Traffic
from lab.locale import Message, _, message, messages

MAX_ROWS = 24
LEG = 30  # cells from one lane to the next
MIN_LEG = 16
FEW = 3  # up to this number of lanes, legs shrink further instead of lanes being folded
MAX_NAMES = 8  # folded nodes that are named


def sequence(
    traffic: Traffic,
    width: int = 100,
    rows: int = MAX_ROWS,
    since: float = 0.0,
    until: float = math.inf,
    *,
    acks: bool = False,
    language: str = "en",
    active: Collection[str] = (),
    nodes: Collection[str] = (),
) -> list[list[Span]]:
    """The lines to print, at most ``width`` cells wide; none if there were no packets in that time.

    ``active`` are nodes that take part for another reason than their packets. If ``nodes`` are given, only
    these get lanes.
    """
    columns = _fitting(lanes(traffic, active, nodes), packets_by_path(traffic), width)
    found = arrows(traffic, columns.shown, since, until, acks=acks)
    left_out = folded_packets(traffic, columns.shown, since, until) if columns.folded else 0
    if not found and not left_out:
        return []
    drawing = Drawing(columns.shown, _leg_width(columns.shown, width), language)
    lines = [drawing.heading(), *_drawn(drawing, found, rows, language)]
    notes: list[tuple[Message, str]] = [(caveat, "lost") for caveat in _caveats(traffic)]
    hidden = 0 if acks else hidden_acks(traffic, columns.shown, since, until)
    notes += [(acks_note(hidden), "dim")] * bool(hidden)
    notes += [(_folded_note(columns.folded, left_out, language), "dim")] * bool(columns.folded)
    for note, style in notes:
        lines += [[Span(" " * TIME + line, style)] for line in _wrapped(note.in_language(language), width)]
    return [_fit(line, width) for line in lines]


def acks_note(count: int) -> Message:
    """The line with the number of pure ACKs that a diagram doesn't show."""
    return messages(
        "{count} pure ACK is not shown; --acks shows it",
        "{count} pure ACKs are not shown; --acks shows them",
        count=count,
    )


def _folded_note(folded: Sequence[str], packets: int, language: str) -> Message:
    names = _(", ", language).join(folded[:MAX_NAMES])
    if len(folded) > MAX_NAMES:
        more = message("{count} more", count=len(folded) - MAX_NAMES)
        names = _(", ", language).join((names, more.in_language(language)))
    if not packets:
        return message("without a column: {names}; --nodes selects columns", names=names)
    return messages(
        "without a column: {names} ({count} packet isn't shown); --nodes selects columns",
        "without a column: {names} ({count} packets aren't shown); --nodes selects columns",
        names=names,
        count=packets,
    )


def _caveats(traffic: Traffic) -> Iterator[Message]:
    """Notes on packets that are missing from the captures, so that their absence isn't taken for a result."""
    for capture in traffic.captures.values():
        if capture.cut:
            yield messages(
                "{name}: {count} packet was captured but not kept",
                "{name}: {count} packets were captured but not kept",
                name=capture.name,
                count=capture.cut,
            )
        if capture.dropped:
            yield messages(
                "{name}: {count} packet was dropped by the kernel",
                "{name}: {count} packets were dropped by the kernel",
                name=capture.name,
                count=capture.dropped,
            )
        if capture.ended:
            yield message(
                "{name}: the capture ended early: {reason}", name=capture.name, reason=capture.ended
            )


# --- width -----------------------------------------------------------------------------------------


def _fitting(columns: Lanes, counts: Mapping[Path, int], width: int) -> Lanes:
    """The lanes for which there is room. Folded first is the lane without which most arrows stay complete."""
    while len(columns.shown) > FEW and _leg_width(columns.shown, width) < MIN_LEG:
        fewer = [columns.without([name]) for name in reversed(columns.shown)]
        columns = max(fewer, key=lambda candidate: _stops(counts, set(candidate.shown)))
    return columns


def _stops(counts: Mapping[Path, int], shown: set[str]) -> int:
    """The number of times that an arrow begins or ends at one of these lanes."""
    return sum(
        count * len(path.involved & shown) for path, count in counts.items() if is_between(path, shown)
    )


def _leg_width(names: Sequence[str], width: int) -> int:
    """The cells from lane to lane, so that the time, the lanes and the last lane's name fit."""
    legs = max(1, len(names) - 1)
    room = width - TIME - len(names) + 1 - max(1, cell_len(names[-1]))
    return max(6, min(LEG, room // legs))


def _fit(spans: list[Span], width: int) -> list[Span]:
    """The line, cut off at ``width`` cells."""
    fitting, used = [], 0
    for text, style in spans:
        room = width - used
        fitting.append(Span(text if cell_len(text) <= room else set_cell_size(text, max(0, room)), style))
        used += cell_len(text)
    return fitting


def _wrapped(text: str, width: int) -> list[str]:
    """The text of a note in lines, broken at spaces."""
    lines = [""]
    for word in text.split(" "):
        line = f"{lines[-1]} {word}".strip()
        if cell_len(line) <= width - TIME:
            lines[-1] = line
        else:
            lines.append(word)
    return [line for line in lines if line]


# --- lines -----------------------------------------------------------------------------------------


def _drawn(drawing: Drawing, found: list[Row], most: int, language: str) -> Iterator[list[Span]]:
    shown, left_out = ends(found, most)
    for row in shown:
        if row is None:
            yield [Span(f"{'…':>8}  {_summary(left_out, language)}", "dim")]
        else:
            for at, spans in drawing.lines(row):
                yield [Span(f"{at - found[0].transit.sent.at:8.3f} ", "time"), *spans]


def _summary(rows: list[Row], language: str) -> str:
    lost = sum(row.transit.fate == "lost" for row in rows)
    again = sum(row.transit.mark == "retransmission" for row in rows)
    parts = [messages("{count} packet", "{count} packets", count=sum(row.count for row in rows))]
    parts += [message("{count} lost", count=lost)] * bool(lost)
    parts += [message("{count} retransmitted", count=again)] * bool(again)
    text = _(", ", language).join(part.in_language(language) for part in parts)
    return message("{packets} (lab trace shows all of them)", packets=text).in_language(language)
