"""The page as one file: template.html with style, code and data inlined. It asks the network for nothing.

Strategy. Whatever a program, a peer or a scenario wrote is data: the template escapes it, and what the
picture shows is JSON with no "<" in it, put on the page as text only. Should that ever fail, the page's own
policy (Content-Security-Policy) still lets no code run but the one whose digest it names, and nothing load.
"""

from __future__ import annotations

import base64
import hashlib
import json
import os
import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import jinja2
from markupsafe import Markup

from lab.evidence.trace.page import Page, collect
from lab.evidence.traffic import Traffic
from lab.protocols.text import printable

HERE = Path(__file__).parent
NAME = "trace.html"
# In this order: each uses what stands before it.
CODE = (
    "data.js", "decode.js", "scale.js", "layout.js", "filter.js", "view.js", "draw.js", "arrows.js",
    "overview.js", "details.js", "main.js",
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
            diagnosis=_diagnosis(page.record, folder),
            link=_link(page.record.get("impairment")),
            started=_moment(page.record.get("started")),
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


def _moment(seconds: object) -> str:
    if not isinstance(seconds, int | float):
        return ""
    return time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(seconds))


# --- diagnosis and link ----------------------------------------------------------------------------


def _diagnosis(record: Mapping[str, Any], folder: Path) -> dict[str, Any]:
    """What it says, and of each scenario that shows the same its name and, where its file is here, a link."""
    diagnosis = record.get("diagnosis") or {}
    names = diagnosis.get("see_also", ())
    return {
        "sentences": diagnosis.get("sentences", ()),
        "see_also": [_scenario(str(name), folder) for name in names],
    }


def _scenario(name: str, folder: Path) -> dict[str, str]:
    """A scenario's file is found from the run's folder, runs/<scenario>/<time>, and from there only."""
    path = folder.resolve().parents[2] / "scenarios" / f"{name.replace('-', '_')}.py"
    if not name.replace("-", "").isalnum() or not path.is_file():
        return {"name": name, "href": ""}
    return {"name": name, "href": Path(os.path.relpath(path, folder.resolve())).as_posix()}


def _link(impairment: object) -> dict[str, Any] | None:
    """Backend, and a row for each thing that was asked of the link or measured of it."""
    if not isinstance(impairment, Mapping) or not impairment:
        return None
    asked, measured = _flat(impairment.get("asked")), _flat(impairment.get("measured"))
    rows = [(name, asked.get(name, ""), measured.get(name, "")) for name in _merged(asked, measured)]
    return {"backend": impairment.get("backend") or "none", "rows": rows}


def _merged(*tables: Mapping[str, str]) -> Iterable[str]:
    return dict.fromkeys(name for table in tables for name in table)


def _flat(value: object, name: str = "") -> dict[str, str]:
    """Nested values as one table: {"there": {"loss": 0.2}} has the row "there loss"."""
    items: Iterable[tuple[Any, Any]]
    if isinstance(value, Mapping):
        items = value.items()
    elif isinstance(value, list | tuple):
        items = enumerate(value, 1)
    else:
        return {} if value in (None, "", 0, 0.0, False) else {name or "all": _number(value)}
    tables = [_flat(inner, f"{name} {part}".strip()) for part, inner in items]
    return {key: text for table in tables for key, text in table.items()}


def _number(value: object) -> str:
    return f"{value:.6g}" if isinstance(value, float) else str(value)
