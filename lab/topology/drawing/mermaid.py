"""Draws a picture as a Mermaid flowchart, which GitHub and GitLab show in Markdown."""

from __future__ import annotations

from collections.abc import Iterator

from lab.topology.drawing.boxes import UP, Box, Picture

SHAPES = {"segment": ("([", "])"), "router": ("{{", "}}"), "host": ("[", "]")}
STYLES = (
    "classDef segment fill:#ddeeff,stroke:#0b62c4,color:#06376f",
    "classDef router fill:#efe6fd,stroke:#6f42c1,color:#3c1d75",
    "classDef down stroke:#cf222e,stroke-width:3px",
)


def as_mermaid(picture: Picture) -> str:
    """The text of a flowchart."""
    return "\n  ".join(["flowchart LR", *_lines(picture)]) + "\n"


def _lines(picture: Picture) -> Iterator[str]:
    names = {name: f"n{number}" for number, name in enumerate(picture.boxes)}
    for name, box in picture.boxes.items():
        yield _node(names[name], box)
        for number, inner in enumerate(box.inner):
            yield _node(f"{names[name]}h{number}", inner)
            yield f"{names[name]}h{number} --- {names[name]}"
    for line in picture.lines:
        arrow = "-.-" if line.translated else "---"
        yield f"{names[line.node]} {arrow}|{_quoted(line.label)}| {names[line.segment]}"
    yield from STYLES


def _node(name: str, box: Box) -> str:
    opening, closing = SHAPES[box.kind]
    state = (box.state,) if box.state else ()
    text = "<br>".join([f"<b>{_escaped(box.title)}</b>", *map(_escaped, (*box.lines, *state))])
    down = bool(box.state) and box.state not in UP
    kind = ":::down" if down else f":::{box.kind}" if box.kind != "host" else ""
    return f'{name}{opening}"{text}"{closing}{kind}'


def _quoted(text: str) -> str:
    return f'"{_escaped(text)}"'


def _escaped(text: str) -> str:
    return text.replace("&", "&amp;").replace('"', "&quot;").replace("<", "&lt;").replace(">", "&gt;")
