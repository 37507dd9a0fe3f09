"""Places the boxes of a picture in columns.

A lab without a cycle grows from its middle to both sides. One with a cycle grows from one end to the right:
in a breadth-first tree, each line then leads to the next column, and none crosses a box.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from lab.topology.drawing.boxes import Box, Picture

COLUMN_GAP = 130.0  # pixels between two columns: room for an address
ROW_GAP = 26.0

Neighbours = Mapping[str, list[str]]


@dataclass(frozen=True)
class Place:
    """The position of a box: the middle of its left side."""

    x: float
    y: float


def layout(picture: Picture) -> dict[str, Place]:
    """The place of each box. No two boxes overlap."""
    neighbours: dict[str, list[str]] = {name: [] for name in picture.boxes}
    for line in picture.lines:
        neighbours[line.node].append(line.segment)
        neighbours[line.segment].append(line.node)
    cycle = len(picture.lines) >= len(picture.boxes)
    start = min(neighbours, key=lambda name: _eccentricity(name, neighbours, -1 if cycle else 1))
    children = _tree(start, neighbours)
    tree = _Tree(picture.boxes, children)
    tree.place(start, one_sided=cycle)
    if cycle:
        tree.sort(neighbours)
        tree.place(start, one_sided=True)
    return tree.places()


def _distances(start: str, neighbours: Neighbours) -> dict[str, int]:
    distances, queue = {start: 0}, [start]
    for name in queue:
        for other in neighbours[name]:
            if other not in distances:
                distances[other] = distances[name] + 1
                queue.append(other)
    return distances


def _eccentricity(name: str, neighbours: Neighbours, sign: int) -> tuple[int, int, int]:
    """Smallest for a box in the middle, or with ``sign`` -1 for one at an end."""
    distances = _distances(name, neighbours)
    return (-len(distances), sign * max(distances.values()), -sign * len(neighbours[name]))


def _tree(start: str, neighbours: Neighbours) -> dict[str, list[str]]:
    """The children of each box in a breadth-first tree. Boxes without lines are children of ``start``."""
    children: dict[str, list[str]] = {}
    seen, queue = {start}, [start]
    for name in queue:
        children[name] = [other for other in dict.fromkeys(neighbours[name]) if other not in seen]
        seen.update(children[name])
        queue += children[name]
    children[start] += [name for name in neighbours if name not in seen]
    return children


class _Tree:
    """Assigns each box a column (0 is the middle, negative ones are to the left) and a vertical position."""

    def __init__(self, boxes: Mapping[str, Box], children: dict[str, list[str]]) -> None:
        self._boxes, self._children = boxes, children
        self._columns: dict[str, int] = {}
        self._heights: dict[str, float] = {}

    def sort(self, neighbours: Neighbours) -> None:
        """Sorts the children of each box by the heights of all boxes that lead to them: fewer lines cross."""

        def height(name: str) -> float:
            before = [other for other in neighbours[name] if self._columns[other] < self._columns[name]]
            return sum(self._heights[other] for other in before) / max(1, len(before))

        for children in self._children.values():
            children.sort(key=height)

    def place(self, start: str, *, one_sided: bool) -> None:
        """Places ``start`` and the other boxes: on its right side, or half of them on each side."""
        children = self._children[start]
        self._columns[start], self._heights[start] = 0, 0.0
        half = sum(map(self._extent, children)) / 2
        number = 0  # on the left side
        while not one_sided and number < len(children) and sum(map(self._extent, children[:number])) < half:
            number += 1
        self._stack(children[:number], -1, 0.0)
        self._stack(children[number:], 1, 0.0)

    def _extent(self, name: str) -> float:
        """The height of a box together with the boxes behind it."""
        return max(self._boxes[name].height, self._sum(self._children.get(name, []))) + ROW_GAP

    def _sum(self, names: Iterable[str]) -> float:
        return sum(map(self._extent, names)) - ROW_GAP

    def _stack(self, names: list[str], column: int, middle: float) -> None:
        """Puts boxes into a column, one below the other, and those behind them into the next one."""
        y = middle - self._sum(names) / 2
        for name in names:
            extent = self._extent(name) - ROW_GAP
            self._columns[name], self._heights[name] = column, y + extent / 2
            self._stack(self._children.get(name, []), column + (1 if column > 0 else -1), y + extent / 2)
            y += extent + ROW_GAP

    def places(self) -> dict[str, Place]:
        """The places, so that the picture begins at (0, 0)."""
        top = min(y - self._boxes[name].height / 2 for name, y in self._heights.items())
        lefts, x = {}, 0.0
        for column in sorted(set(self._columns.values())):
            width = max(self._boxes[name].width for name, own in self._columns.items() if own == column)
            lefts[column] = (x, width)
            x += width + COLUMN_GAP
        return {
            name: Place(self._x(name, *lefts[self._columns[name]]), y - top)
            for name, y in self._heights.items()
        }

    def _x(self, name: str, left: float, width: float) -> float:
        """Boxes are next to the middle of the lab; the middle one is centered."""
        free = width - self._boxes[name].width
        column = self._columns[name]
        return left + (free if column < 0 else free / 2 if column == 0 else 0.0)
