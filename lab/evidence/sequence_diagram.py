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
from typing import NamedTuple

from rich.cells import cell_len, set_cell_size

from lab.evidence.lanes import Lanes, is_between, lanes, packets_by_path
from lab.evidence.packet_path import SLOW, Leg, Path
from lab.evidence.packets.traffic import Traffic
from lab.evidence.sequence_rows import Row, arrows, ends, folded_packets, hidden_acks
from lab.locale import Message, _, message, messages

MAX_ROWS = 24
LEG = 30  # cells from one lane to the next
MIN_LEG = 16
FEW = 3  # up to this number of lanes, legs shrink further instead of lanes being folded
TIME = 9  # cells of the column with the times
MAX_NAMES = 8  # folded nodes that are named
MARKS = {
    "retransmission": message("again"),
    "probe": message("probe"),
    "corrupted": message("corrupted"),
}
LOST = message("lost")


class Span(NamedTuple):
    """Text with a style: "time", "lane", "lost", "mark", "dim", or the name of the sending node."""

    text: str
    style: str


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
    drawing = _Drawing(columns.shown, _leg_width(columns.shown, width), language)
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


def _drawn(drawing: _Drawing, found: list[Row], most: int, language: str) -> Iterator[list[Span]]:
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


class _Stretch(NamedTuple):
    """One leg of an arrow, in lanes."""

    leg: Leg
    start: int
    end: int

    @property
    def rightward(self) -> bool:
        return self.end > self.start


class _Drawing:
    """Draws rows over lanes that are ``leg`` cells apart."""

    def __init__(self, names: Sequence[str], leg: int, language: str) -> None:
        self._names, self._leg, self._language = names, leg, language

    def heading(self) -> list[Span]:
        leg = self._leg
        titles = [set_cell_size(_cut(name, leg), leg + 1) for name in self._names[:-1]]
        return [Span(" " * TIME, "time"), *map(Span, (*titles, self._names[-1]), self._names)]

    def lines(self, row: Row) -> Iterator[tuple[float, list[Span]]]:
        """The lines of one row with their times: one, or more if the packet turns round at a router."""
        stretches = self._stretches(row)
        start = 0
        for number in range(1, len(stretches) + 1):
            if number < len(stretches) and stretches[number].rightward == stretches[start].rightward:
                continue
            yield self._line(row, stretches[start:number], start, number == len(stretches))
            start = number

    def _stretches(self, row: Row) -> list[_Stretch]:
        """The legs between lanes. A leg to or from a node without a lane ends at the next lane."""
        legs = row.path.among(self._names).legs
        far = row.path.receiver if row.path.receiver in self._names else ""
        found = []
        for leg in legs:
            start, end = self._lane(leg.source), self._lane(leg.target)
            if start is None:
                continue
            if end is None:
                end = self._beside(start, self._lane(far))
            if start != end:
                found.append(_Stretch(leg, start, end))
        return found

    def _lane(self, name: str) -> int | None:
        return self._names.index(name) if name in self._names else None

    def _beside(self, start: int, far: int | None) -> int:
        """The lane next to ``start`` in the direction of ``far``, or of the other end of the diagram."""
        last = len(self._names) - 1
        there = far if far is not None else (last if start < last else 0)
        return start + (there > start) - (there < start)

    def _line(
        self, row: Row, stretches: Sequence[_Stretch], number: int, is_last: bool
    ) -> tuple[float, list[Span]]:
        """The stretches in one direction; ``number`` of the row's stretches come before them."""
        first, last = stretches[0], stretches[-1]
        texts = {
            s.start if s.rightward else s.end: self._text(row, s, number + n, n == 0)
            for n, s in enumerate(stretches)
        }
        if is_last and self._is_lost_at_lane(row) and (gap := self._gap_beyond(last)) is not None:
            texts[gap] = self._cross(last.rightward, bool(row.path.lost_on))
        lengths = {min(s.start, s.end): abs(s.end - s.start) for s in stretches}
        spans, lane = [Span("│", "lane")], 0
        while lane < len(self._names) - 1:
            spans += [texts.get(lane, Span(" " * self._leg, "lane")), Span("│", "lane")]
            lane += lengths.get(lane, 1)
        return row.transit.sightings[first.leg.first].at, spans

    def _is_lost_at_lane(self, row: Row) -> bool:
        return row.path.lost_at in self._names

    def _gap_beyond(self, last: _Stretch) -> int | None:
        """The gap behind the router at which a packet was lost; None if no lane is there."""
        gap = last.end if last.rightward else last.end - 1
        return gap if 0 <= gap < len(self._names) - 1 else None

    def _cross(self, rightward: bool, past_router: bool) -> Span:
        """The mark of a packet that the router didn't pass on, or that was lost on the next segment."""
        word = f" ✗ {LOST.in_language(self._language)} "
        if past_router:
            word = f"──{word}" if rightward else f"{word}──"
        space = " " * (self._leg - cell_len(word))
        return Span(word + space if rightward else space + word, "lost")

    def _text(self, row: Row, stretch: _Stretch, number: int, turned: bool) -> Span:
        """A stretch of the arrow, the ``number``-th of its row; ``turned`` if it is the first of a line."""
        transit = row.transit
        width = abs(stretch.end - stretch.start) * (self._leg + 1) - 1
        style = "mark" if transit.mark else row.path.sender
        if transit.mark == "duplicate":  # sent once, but it left the router twice
            if stretch.leg.first == 0:
                return Span(" " * width, style)
            label, mark = _("copy", self._language) if stretch.leg.first == 1 else "", ""
        elif number == 0:
            label, mark = row.label, self._mark(row, stretch)
        else:
            label, mark = self._passing(row, stretch.leg), ""
            if turned:  # a new line, which begins at the router
                label = f"↳ {label}{', ' if label else ''}{row.label}"
        reaches = stretch.leg.target in self._names or not row.path.lost_at
        return Span(self._dashes(label, width, stretch.rightward, mark, reaches), style)

    def _mark(self, row: Row, stretch: _Stretch) -> str:
        """The mark of a packet at its label, with that of its loss if no lane has room for it."""
        mark = row.transit.mark
        text = f" {MARKS[mark].in_language(self._language)}" if mark in MARKS else ""
        if not row.path.lost_at or (self._is_lost_at_lane(row) and self._gap_beyond(stretch) is not None):
            return text
        return f"{text} ✗ {LOST.in_language(self._language)}"

    def _passing(self, row: Row, leg: Leg) -> str:
        """What happened to the packet at the router where the leg begins: translation and delay."""
        seen = row.transit.sightings
        before = next((other.last for other in row.path.legs if other.target == leg.source), leg.first)
        delay = seen[leg.first].at - seen[before].at
        translated = leg.first > 0 and seen[leg.first].flow != seen[leg.first - 1].flow
        parts = [f"NAT {row.translation}"] * bool(translated and row.translation)
        parts += [f"{delay * 1000:.0f} ms"] * (delay >= SLOW)
        return ", ".join(parts)

    def _dashes(self, label: str, width: int, rightward: bool, mark: str = "", reaches: bool = True) -> str:
        """An arrow of ``width`` cells with its label and its mark at the sender's end.

        It crosses the lanes of the nodes that it passes. If it doesn't reach a lane, it ends at its mark.
        """
        text = f" {_cut(label, width - 5 - cell_len(mark))}{mark} " if label or mark else ""
        size = width - 2 - cell_len(text)
        if not reaches:
            return f"─{text}{' ' * size} " if rightward else f" {' ' * size}{text}─"
        offset = 1 + cell_len(text) if rightward else 1
        line = "".join("┼" if (offset + n + 1) % (self._leg + 1) == 0 else "─" for n in range(size))
        return f"─{text}{line}▶" if rightward else f"◀{line}{text}─"


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


def _cut(text: str, width: int) -> str:
    """``text``, truncated with an ellipsis if it is wider than ``width`` cells."""
    return text if cell_len(text) <= width else set_cell_size(text, width - 1).rstrip() + "…"
