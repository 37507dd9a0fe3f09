"""The lines of a sequence diagram in text: the names of the lanes, and the arrow of each row.

A packet needs one line, or more if it turns round at a router.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from rich.cells import cell_len, set_cell_size

from lab.evidence.diagram.packet_path import SLOW, Leg
from lab.evidence.diagram.rows import Row
from lab.locale import _, message

TIME = 9  # cells of the column with the times
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


class _Stretch(NamedTuple):
    """One leg of an arrow, in lanes."""

    leg: Leg
    start: int
    end: int

    @property
    def rightward(self) -> bool:
        return self.end > self.start


class Drawing:
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


def _cut(text: str, width: int) -> str:
    """``text``, truncated with an ellipsis if it is wider than ``width`` cells."""
    return text if cell_len(text) <= width else set_cell_size(text, width - 1).rstrip() + "…"
