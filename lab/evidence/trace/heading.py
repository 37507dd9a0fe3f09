"""What stands above the picture, besides the verdict: the diagnosis, the link as asked and as measured."""

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


def moment(record: Mapping[str, Any]) -> str:
    """When the run started."""
    started = record.get("started")
    if not isinstance(started, int | float):
        return ""
    return time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(started))


def diagnosis(record: Mapping[str, Any], folder: Path, language: str = "en") -> dict[str, Any]:
    """The sentences of the diagnosis, and the scenarios that show the same, with links to their files.

    The sentences are in English if the record has no messages from which another language can be made.
    """
    found = record.get("diagnosis") or {}
    sentences = found.get("sentences", ())
    with suppress(ValueError):
        sentences = Diagnosis.from_dict(found).in_language(language)
    see_also = [_scenario(str(name), folder) for name in found.get("see_also", ())]
    return {"sentences": sentences, "see_also": see_also}


def _scenario(name: str, folder: Path) -> dict[str, str]:
    """A scenario's file is found from the run's folder, runs/<scenario>/<time>, and from there only."""
    folder = folder.resolve()
    path = folder.joinpath("..", "..", "..", "scenarios", f"{name.replace('-', '_')}.py").resolve()
    if not name.replace("-", "").isalnum() or not path.is_file():
        return {"name": name, "href": ""}
    return {"name": name, "href": Path(os.path.relpath(path, folder)).as_posix()}


@dataclass(frozen=True)
class Measure:
    """One thing of one direction, in words. ``ok`` is None where it couldn't be judged."""

    at: str
    way: str
    what: str
    asked: str
    measured: str
    ok: bool | None


def link(record: Mapping[str, Any]) -> dict[str, Any] | None:
    """The backend, what was asked of the link one after the other, and what it then did."""
    about = record.get("impairment")
    if not about or not about.get("changes"):
        return None
    started = record.get("started") or 0.0
    rows = [row for change in about["changes"] for row in _rows(change, started)]
    asked = [
        settings.describe() for change in about["changes"] if not (settings := _settings(change)).is_nothing
    ]
    return {
        "backend": about.get("backend") or "none",
        "asked": asked[0] if len(asked) == 1 else f"{len(asked)} settings" if asked else "",
        "wrong": any(row.ok is False for row in rows),
        "rows": rows,
    }


def _settings(change: Mapping[str, Any]) -> LinkSettings:
    return LinkSettings.from_json(change.get("asked") or {})


def _rows(change: Mapping[str, Any], started: float) -> Iterator[Measure]:
    at = f"{change['at'] - started:.3f}"
    if change.get("measured") is None:
        yield Measure(at, "", _settings(change).describe(), "", "not measured", None)
    for way, checks in (change.get("measured") or {}).items():
        for check in (Check(**fields) for fields in checks):
            if check.matters:
                seen = f"{check.show(check.measured)} ({check.show(check.low)} … {check.show(check.high)})"
                measured = f"{seen} {check.note}".strip()
                yield Measure(at, way, check.what, check.show(check.asked), measured, check.ok)
