"""Recordings: what the pages need of a real run, small enough to be kept beside them."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from docs import tools
from lab.errors import UsageError


@dataclass(frozen=True)
class ProgramOutput:
    """What one program printed: the first ``lines``, how many are ``left_out``, and the ``last`` ones."""

    node: str
    command: str  # with the names of the scenario's programs in the place of their texts
    lines: list[str]
    left_out: int
    last: list[str]
    end: str  # "exit code 0", "killed by SIGTERM"; "" where nobody waited for it


@dataclass(frozen=True)
class Step:
    """One row of the picture, ``at`` seconds from its first: an arrow, a ``note``, or rows ``left_out``."""

    at: float
    source: str = ""  # nodes
    destination: str = ""
    label: str = ""
    fate: str = "crossed"  # of a packet, as transits have it
    mark: str = ""
    delay: float = 0.0  # seconds on its way; 0 where that is nothing to speak of
    note: str = ""
    left_out: int = 0  # packets
    lost: int = 0  # of these


DEFAULTS = {field.name: field.default for field in fields(Step)}


@dataclass(frozen=True)
class Part:
    """A variant of a pitfall; of another scenario the whole run, and ``variant`` is empty."""

    variant: str
    programs: list[ProgramOutput]
    steps: list[Step]
    hidden_acks: int = 0  # pure ACKs that aren't among the steps


@dataclass(frozen=True)
class Recording:
    """A run that passed. ``fingerprint`` is that of the scenario's code which was played."""

    scenario: str
    fingerprint: str
    verdict: str
    date: str  # UTC: 2026-11-21
    seconds: float
    backend: str  # of the link; "" where it was left alone
    versions: dict[str, str]
    record: dict[str, Any]
    lanes: list[str]  # the nodes from left to right
    parts: list[Part]


def path_of(name: str) -> Path:
    return tools.GALLERY / "recorded" / f"{name}.json"


def save(recording: Recording) -> Path:
    """Writes the recording, whole or not at all. What is at its default isn't written."""
    path = path_of(recording.scenario)
    path.parent.mkdir(parents=True, exist_ok=True)
    plain = asdict(recording)
    for part in plain["parts"]:
        part["steps"] = [{k: v for k, v in step.items() if v != DEFAULTS.get(k)} for step in part["steps"]]
    temporary = path.with_suffix(".part")
    temporary.write_text(json.dumps(plain, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")
    return temporary.replace(path)


def load(name: str) -> Recording | None:
    """The recording of that scenario; None where there is none. Raises UsageError where it isn't one."""
    path = path_of(name)
    try:
        plain = json.loads(path.read_text(encoding="utf-8"))
        parts = [
            Part(
                part["variant"],
                [ProgramOutput(**said) for said in part["programs"]],
                [Step(**step) for step in part["steps"]],
                part.get("hidden_acks", 0),
            )
            for part in plain.pop("parts")
        ]
        return Recording(**plain, parts=parts)
    except FileNotFoundError:
        return None
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise UsageError(f"{path.name} is no recording: {type(error).__name__}: {error}") from error
