"""The heading of the page, except the verdict: the diagnosis, and the link as requested and as measured."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lab.evidence.diagnosis.diagnose import Diagnosis
from lab.link.settings import LinkSettings
from lab.link.verification import Check
from lab.locale import Message, message


def started_at(record: Mapping[str, Any]) -> str:
    """The start of the run as a date and a time in UTC; "" if the record doesn't have it."""
    started = record.get("started")
    if not isinstance(started, int | float):
        return ""
    return time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(started))


def diagnosis(record: Mapping[str, Any], folder: Path) -> dict[str, Any]:
    """The sentences of the diagnosis, and the scenarios that show the same causes, with links to their files.

    A sentence is an English text, not a Message, if the record has no messages.
    """
    found = record.get("diagnosis") or {}
    sentences = found.get("sentences", ())
    with suppress(ValueError):
        sentences = Diagnosis.from_dict(found).messages
    see_also = [_scenario(str(name), folder) for name in found.get("see_also", ())]
    return {"sentences": sentences, "see_also": see_also}


def _scenario(name: str, folder: Path) -> dict[str, str]:
    """A scenario's name and file, which is searched only relative to the run's folder (runs/NAME/TIME)."""
    folder = folder.resolve()
    path = folder.joinpath("..", "..", "..", "scenarios", f"{name.replace('-', '_')}.py").resolve()
    if not name.replace("-", "").isalnum() or not path.is_file():
        return {"name": name, "href": ""}
    return {"name": name, "href": Path(os.path.relpath(path, folder)).as_posix()}


@dataclass(frozen=True)
class Measure:
    """One measured property of one direction. ``ok`` is None if it couldn't be judged."""

    at: str
    way: str
    what: str
    asked: str
    measured: str | Message
    ok: bool | None


def link(record: Mapping[str, Any]) -> dict[str, Any] | None:
    """The link's backend, and its settings as requested and as measured; None if the link was never set."""
    about = record.get("impairment")
    if not about or not about.get("changes"):
        return None
    started = record.get("started") or 0.0
    rows = [row for change in about["changes"] for row in _rows(change, started)]
    asked = [
        settings.describe() for change in about["changes"] if not (settings := _settings(change)).is_nothing
    ]
    return {
        "summary": _summary(about.get("backend") or "none", asked),
        "wrong": any(row.ok is False for row in rows),
        "rows": rows,
    }


def _summary(backend: str, asked: list[str]) -> Message:
    if not asked:
        return message("link by {backend}", backend=backend)
    if len(asked) == 1:
        return message("link by {backend}: {settings}", backend=backend, settings=asked[0])
    return message("link by {backend}: {count} settings", backend=backend, count=len(asked))


def _settings(change: Mapping[str, Any]) -> LinkSettings:
    return LinkSettings.from_json(change.get("asked") or {})


def _rows(change: Mapping[str, Any], started: float) -> Iterator[Measure]:
    """The measured values; if the lab has several links, each direction is named with its link."""
    link = change.get("link", "")
    at = f"{change['at'] - started:.3f}"
    if change.get("measured") is None:
        yield Measure(at, link, _settings(change).describe(), "", message("not measured"), None)
    for way, checks in (change.get("measured") or {}).items():
        for check in (Check(**fields) for fields in checks):
            if check.matters:
                where = f"{link} {way}".strip()
                seen = f"{check.show(check.measured)} ({check.show(check.low)} … {check.show(check.high)})"
                measured = f"{seen} {check.note}".strip()
                yield Measure(at, where, check.what, check.show(check.asked), measured, check.ok)
