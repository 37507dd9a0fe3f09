"""The page as one file: template.html with style, code and data inlined. It loads nothing from the network.

Strategy. Text from a program, a peer or a scenario is data: the template escapes it, and the data of the
diagram is JSON without any "<", which the code inserts as text only. In addition, the page's
Content-Security-Policy allows only the scripts and styles whose digests it lists, and no loads.

The page contains its texts in every language: English in the template and in the code, and a table of
translations for each other language, which language.js applies.
"""

from __future__ import annotations

import base64
import functools
import hashlib
import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jinja2
from markupsafe import Markup

from lab.evidence.packets.traffic import Traffic
from lab.evidence.trace import heading
from lab.evidence.trace.page import Page, collect
from lab.locale import LANGUAGES, Message, _, message
from lab.protocols.printable import printable

HERE = Path(__file__).parent
NAME = "trace.html"
CODE = (  # in the order in which they depend on each other
    "data.js", "language.js", "decode.js", "scale.js", "layout.js", "filter.js", "view.js", "draw.js",
    "ground.js", "arrows.js", "lines.js", "overview.js", "heads.js", "details.js", "choose.js", "find.js",
    "nodes.js", "main.js",
)  # fmt: skip
VERDICTS = {"pass": message("passed"), "fail": message("failed"), "unsupported": message("unsupported")}
MARKED = re.compile(r'(?<![\w.])t\("((?:[^"\\]|\\.)+)"')  # a text in the code: t("…")


def write(folder: Path, traffic: Traffic | None = None, language: str | None = None) -> Path:
    """Writes trace.html into the folder of a run, atomically, and returns its path.

    If ``traffic`` is given, the captures aren't read. The page opens in ``language``, or in the browser's
    language if it is None. Raises OSError or ValueError if the folder doesn't contain a run.
    """
    target = folder / NAME
    temporary = folder / f"{NAME}.part"
    temporary.write_text(render(collect(folder, traffic), folder, language), encoding="utf-8")
    temporary.replace(target)
    return target


def prepare() -> None:
    """Does the part of ``write`` that is the same for every run; the first time it takes the longest."""
    _code()
    _environment().get_template("template.html")


class Texts:
    """The translations of the page's texts by language, collected while the template is rendered."""

    def __init__(self) -> None:
        self.tables: dict[str, dict[str, str]] = {name: {} for name in LANGUAGES if name != "en"}

    def add(self, text: str | Message) -> str:
        """Adds a text that the page shows. Returns it in English."""
        shown = printable(str(text))
        for language, table in self.tables.items():
            translated = printable(_translated(text, language))
            if translated != shown:
                table[shown] = translated
        return shown


def _translated(text: str | Message, language: str) -> str:
    if isinstance(text, Message):
        return text.in_language(language)
    return _(text, language) if text else ""  # the empty text is translated as the header of the catalog


def render(page: Page, folder: Path, language: str | None = None) -> str:
    """The whole page. Links to scenarios are relative to ``folder``."""
    style = Markup((HERE / "style.css").read_text(encoding="utf-8"))
    code = Markup(_code())
    texts = Texts()
    for text in texts_of(code):
        texts.add(text)
    run = _with_texts(page.run, texts) | {"languages": LANGUAGES, "language": language or ""}
    return (
        _environment()
        .get_template("template.html")
        .render(
            t=texts.add,
            record=page.record,
            notes=page.notes,
            title=_title(page.record),
            verdict=_verdict(page.record),
            diagnosis=heading.diagnosis(page.record, folder),
            link=heading.link(page.record),
            started=heading.started_at(page.record),
            took=_took(page.record),
            style=style,
            style_digest=_digest(style),
            code=code,
            code_digest=_digest(code),
            run=lambda: _data(run | {"texts": texts.tables}),  # called at the end of the template
            bytes=page.bytes,
        )
    )


def _with_texts(value: Any, texts: Texts) -> Any:
    """``value`` with each message in English, for JSON; the message is added to ``texts``."""
    if isinstance(value, Message):
        return texts.add(value)
    if isinstance(value, dict):
        return {name: _with_texts(entry, texts) for name, entry in value.items()}
    if isinstance(value, list) and value and isinstance(value[0], dict):  # not the packets' columns
        return [_with_texts(entry, texts) for entry in value]
    return value


@functools.cache
def _code() -> str:
    return "\n".join((HERE / name).read_text(encoding="utf-8") for name in CODE)


def texts_of(code: str) -> list[str]:
    """The texts that JavaScript code marks as t("…")."""
    return [json.loads(f'"{found}"') for found in MARKED.findall(code)]


def _verdict(record: Mapping[str, Any]) -> Message:
    return VERDICTS.get(str(record.get("verdict")), message("not finished"))


def _title(record: Mapping[str, Any]) -> Message:
    scenario, verdict = record.get("scenario", "run"), _verdict(record)
    return message("{scenario} {verdict} · Socket Lab", scenario=scenario, verdict=verdict)


def _took(record: Mapping[str, Any]) -> Message:
    return message("took {seconds:.2f} s", seconds=float(record.get("seconds") or 0))


@functools.cache
def _environment() -> jinja2.Environment:
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(HERE), autoescape=True, undefined=jinja2.StrictUndefined,
        trim_blocks=True, lstrip_blocks=True,
    )  # fmt: skip
    environment.filters["printable"] = _printable
    return environment


def _printable(value: object) -> str:
    """``value`` as text. Line ends stay; other control characters are escaped."""
    return "\n".join(printable(line) for line in str(value).split("\n"))


def _data(value: Any) -> Markup:
    """JSON that is safe in a script element: ASCII only, and without any "<"."""
    text = json.dumps(value, separators=(",", ":"))
    return Markup(text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026"))


def _digest(text: str) -> str:
    """The digest of a script or a style for Content-Security-Policy (CSP 3, section 2.3.1)."""
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
