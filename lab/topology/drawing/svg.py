"""Draws a picture as SVG, in light and dark colors."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from xml.etree import ElementTree
from xml.etree.ElementTree import Element, SubElement

from lab.topology.drawing.boxes import CHARACTER, GAP, LINE, PADDING, UP, Box, Line, Picture
from lab.topology.drawing.layout import Place, layout

MARGIN = 24.0
HEADING = 30.0
ABOVE, BELOW = -5.0, 13.0  # the baseline of a label, from its line
WAITING = ("starting", "paused", "created", "restarting")

STYLE = """
svg { --back: #ffffff; --card: #f3f6fa; --box: #ffffff; --edge: #c8d1dc; --text: #1c2430; --soft: #5b6673;
      --segment: #0b62c4; --router: #6f42c1; --router-back: #f4effc; --good: #1a7f37; --wait: #9a6700;
      --bad: #cf222e; background: var(--back); }
@media (prefers-color-scheme: dark) {
  svg { --back: #0d1117; --card: #161b22; --box: #0d1117; --edge: #3a424d; --text: #e6edf3; --soft: #9aa4b0;
        --segment: #6cb0ff; --router: #b794f6; --router-back: #1f1833; --good: #3fb950; --wait: #d29922;
        --bad: #ff7b72; }
}
text { font: 12px ui-monospace, Menlo, Consolas, "DejaVu Sans Mono", monospace; fill: var(--soft); }
.name { font: 600 13.5px system-ui, "Segoe UI", "DejaVu Sans", sans-serif; fill: var(--text); }
.segment > .name { fill: var(--segment); }
.router > .name { fill: var(--router); }
rect { stroke: var(--edge); fill: var(--box); }
.segment > rect { fill: var(--card); }
.router > rect { fill: var(--router-back); stroke: var(--router); }
path { fill: none; stroke: var(--router); stroke-width: 1.6; }
.host-line { stroke: var(--soft); }
.nat { stroke-dasharray: 6 4; }
.label { font-size: 11px; stroke: var(--back); stroke-width: 4px; paint-order: stroke; }
.good { fill: var(--good); } .wait { fill: var(--wait); } .bad { fill: var(--bad); }
circle { stroke: none; }
"""


@dataclass(frozen=True)
class _End:
    """The end of a line at the side of a box. ``outward`` is 1 on its right side, -1 on its left.

    ``label`` is the distance from the line down to the baseline of its label: away from the line's bend, and
    from the label of another line.
    """

    x: float
    y: float
    outward: int
    label: float


def as_svg(picture: Picture) -> str:
    """The text of an SVG file."""
    places = layout(picture)
    width = max(place.x + picture.boxes[name].width for name, place in places.items()) + 2 * MARGIN
    height = max(place.y + picture.boxes[name].height / 2 for name, place in places.items())
    root = _root(picture.name, width, height + 2 * MARGIN + HEADING)
    group = SubElement(root, "g", transform=f"translate({MARGIN:g} {MARGIN + HEADING:g})")
    ends = _ends(picture, places)
    for line in picture.lines:
        _draw_line(group, line, ends[line.node, line.segment], ends[line.segment, line.node])
    for name, place in places.items():
        box = picture.boxes[name]
        _draw_box(group, box, place.x, place.y - box.height / 2, box.width)
    for line in picture.lines:  # over the boxes
        _draw_label(group, line, ends[line.segment, line.node])
    ElementTree.indent(root)
    return ElementTree.tostring(root, encoding="unicode") + "\n"


def _root(name: str, width: float, height: float) -> Element:
    root = Element(
        "svg",
        xmlns="http://www.w3.org/2000/svg",
        width=f"{width:g}",
        height=f"{height:g}",
        viewBox=f"0 0 {width:g} {height:g}",
        role="img",
    )
    SubElement(root, "title").text = name
    SubElement(root, "style").text = STYLE
    _text(root, name, MARGIN, MARGIN + LINE, "name")
    return root


def _text(parent: Element, text: str, x: float, y: float, kind: str = "", anchor: str = "start") -> None:
    attributes = {"class": kind} if kind else {}
    if anchor != "start":
        attributes["text-anchor"] = anchor
    SubElement(parent, "text", attributes, x=f"{x:g}", y=f"{y:g}").text = text


def _draw_box(parent: Element, box: Box, left: float, top: float, width: float) -> None:
    group = SubElement(parent, "g", {"class": box.kind})
    radius = "14" if box.kind == "segment" else "7"
    SubElement(
        group, "rect", x=f"{left:g}", y=f"{top:g}", width=f"{width:g}", height=f"{box.height:g}", rx=radius
    )
    baseline = top + PADDING + LINE - 4
    _text(group, box.title, left + PADDING, baseline, "name")
    for number, text in enumerate(box.lines, 1):
        _text(group, text, left + PADDING, baseline + number * LINE)
    if box.state:
        _draw_state(group, box.state, left + width - PADDING, baseline)
    for number, inner in enumerate(box.inner):
        row, column = divmod(number, min(box.columns, len(box.inner)))
        x = left + PADDING + column * (box.inner_width + GAP)
        _draw_box(group, inner, x, top + box.head + row * (box.inner_height + GAP), box.inner_width)


def _draw_state(group: Element, state: str, right: float, baseline: float) -> None:
    kind = "good" if state in UP else "wait" if state in WAITING else "bad"
    _text(group, state, right, baseline, kind, "end")
    x = right - CHARACTER * len(state) - 8
    SubElement(group, "circle", {"class": kind}, cx=f"{x:g}", cy=f"{baseline - 4:g}", r="4")


def _ends(picture: Picture, places: Mapping[str, Place]) -> dict[tuple[str, str], _End]:
    """The end of each line at each of its boxes, by the two names. Ends on one side of a box are spread."""
    sides: dict[tuple[str, int], list[str]] = {}
    for line in picture.lines:
        for one, other in ((line.node, line.segment), (line.segment, line.node)):
            sides.setdefault((one, _side(picture, places, one, other)), []).append(other)
    ends = {}
    for (name, outward), others in sides.items():
        box, place = picture.boxes[name], places[name]
        x = place.x + (box.width if outward > 0 else 0.0)
        others.sort(key=lambda other: places[other].y)
        close = len(others) > 1 and box.height / (len(others) + 1) < 2 * LINE
        for number, other in enumerate(others, 1):
            y = place.y - box.height / 2 + box.height * number / (len(others) + 1)
            above = number <= len(others) / 2 if close else places[other].y >= y
            ends[name, other] = _End(x, y, outward, ABOVE if above else BELOW)
    return ends


def _side(picture: Picture, places: Mapping[str, Place], one: str, other: str) -> int:
    def middle(name: str) -> float:
        return places[name].x + picture.boxes[name].width / 2

    return 1 if middle(other) > middle(one) else -1


def _draw_line(group: Element, line: Line, start: _End, end: _End) -> None:
    kinds = ["host-line"] * line.node.startswith("host ") + ["nat"] * line.translated
    bend = max(40.0, abs(end.x - start.x) / 2)
    control = f"{start.x + start.outward * bend:g} {start.y:g} {end.x + end.outward * bend:g} {end.y:g}"
    path = f"M {start.x:g} {start.y:g} C {control} {end.x:g} {end.y:g}"
    SubElement(group, "path", {"class": " ".join(kinds)} if kinds else {}, d=path)


def _draw_label(group: Element, line: Line, end: _End) -> None:
    """Writes the address next to the segment."""
    anchor = "start" if end.outward > 0 else "end"
    _text(group, line.label, end.x + end.outward * 8, end.y + end.label, "label", anchor)
