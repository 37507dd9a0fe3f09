"""The page as one file: template.html with style, code and data inlined. It asks the network for nothing.

Strategy. Whatever a program, a peer or a scenario wrote is data: the template escapes it, and what the
picture shows is JSON with no "<" in it, put on the page as text only. Should that ever fail, the page's own
policy (Content-Security-Policy) still lets no code run but the one whose digest it names, and nothing load.
"""

from __future__ import annotations

import base64
import hashlib
import json
from pathlib import Path
from typing import Any

import jinja2
from markupsafe import Markup

from lab.evidence.packets.traffic import Traffic
from lab.evidence.trace import heading
from lab.evidence.trace.page import Page, collect
from lab.protocols.printable import printable

HERE = Path(__file__).parent
NAME = "trace.html"
# In this order: each uses what stands before it.
CODE = (
    "data.js", "decode.js", "scale.js", "layout.js", "filter.js", "view.js", "draw.js", "ground.js",
    "arrows.js", "lines.js", "overview.js", "details.js", "choose.js", "find.js", "main.js",
)  # fmt: skip
WORDS = {"pass": "passed", "fail": "failed", "unsupported": "unsupported"}


def write(folder: Path, traffic: Traffic | None = None) -> Path:
    """Writes trace.html into the folder of a run, whole or not at all, and returns its path.

    ``traffic`` spares reading it from the captures. Raises OSError, ValueError where the folder holds no run.
    """
    target = folder / NAME
    temporary = folder / f"{NAME}.part"
    temporary.write_text(render(collect(folder, traffic), folder), encoding="utf-8")
    temporary.replace(target)
    return target


def render(page: Page, folder: Path) -> str:
    """The whole page. ``folder`` is where it will lie: links to scenarios are made from there."""
    style = Markup((HERE / "style.css").read_text(encoding="utf-8"))
    code = Markup("\n".join((HERE / name).read_text(encoding="utf-8") for name in CODE))
    return (
        _environment()
        .get_template("template.html")
        .render(
            record=page.record,
            notes=page.notes,
            verdict=WORDS.get(str(page.record.get("verdict")), "not finished"),
            diagnosis=heading.diagnosis(page.record, folder),
            link=heading.link(page.record),
            started=heading.moment(page.record),
            style=style,
            style_digest=_digest(style),
            code=code,
            code_digest=_digest(code),
            run=_data(page.run),
            bytes=page.bytes,
        )
    )


def _environment() -> jinja2.Environment:
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(HERE), autoescape=True, undefined=jinja2.StrictUndefined,
        trim_blocks=True, lstrip_blocks=True,
    )  # fmt: skip
    environment.filters["printable"] = _printable
    return environment


def _printable(value: object) -> str:
    """Text with its line ends; any other control character is escaped."""
    return "\n".join(printable(line) for line in str(value).split("\n"))


def _data(value: Any) -> Markup:
    """JSON that can stand in a script element: no "<" ends it, and no character is out of ASCII."""
    text = json.dumps(value, separators=(",", ":"))
    return Markup(text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026"))


def _digest(text: str) -> str:
    """As Content-Security-Policy wants it (CSP 3, 2.3.1)."""
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
