"""Recordings: the part of a run that the pages need, small enough to be committed with them."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from docs import tools
from lab.errors import UsageError


@dataclass(frozen=True)
class ProgramOutput:
    """The output of one program: the first ``lines``, how many are ``left_out``, and the ``last`` ones."""

    node: str
    command: str  # with the names of the scenario's programs in place of their texts
    lines: list[str]
    left_out: int
    last: list[str]
    end: str  # "exit code 0", "killed by SIGTERM"; "" if nobody waited for its end


@dataclass(frozen=True)
class Step:
    """A row of the diagram, ``at`` seconds after its first packet: an arrow, a ``note``, or a gap."""

    at: float
    source: str = ""  # nodes
    destination: str = ""
    label: str = ""
    fate: str = "crossed"  # of the packet, see lab.evidence.packets.transit
    mark: str = ""
    delay: float = 0.0  # seconds between its two captures; 0 if that isn't worth showing
    note: str = ""
    left_out: int = 0  # packets in the gap
    lost: int = 0  # how many of them were lost
    lost_at: str = ""  # the node at which this one was lost; older recordings don't have it
    translation: str = ""  # the address that a router put in place of another


DEFAULTS = {field.name: field.default for field in fields(Step)}


@dataclass(frozen=True)
class Part:
    """One variant of a pitfall; of any other scenario the whole run, with an empty ``variant``."""

    variant: str
    programs: list[ProgramOutput]
    steps: list[Step]
    hidden_acks: int = 0  # pure ACKs that aren't among the steps


@dataclass(frozen=True)
class Recording:
    """A run that passed. ``fingerprint`` identifies the scenario's code that was played."""

    scenario: str
    fingerprint: str
    verdict: str
    date: str  # UTC: 2026-11-21
    seconds: float
    backend: str  # of the link; "" if nothing was changed on it
    versions: dict[str, str]
    record: dict[str, Any]
    lanes: list[str]  # the nodes from left to right
    parts: list[Part]


def path_of(name: str) -> Path:
    return tools.GALLERY / "recorded" / f"{name}.json"


def save(recording: Recording) -> Path:
    """Writes the recording atomically. Default values of steps are omitted."""
    path = path_of(recording.scenario)
    path.parent.mkdir(parents=True, exist_ok=True)
    plain = asdict(recording)
    for part in plain["parts"]:
        part["steps"] = [{k: v for k, v in step.items() if v != DEFAULTS.get(k)} for step in part["steps"]]
    temporary = path.with_suffix(".part")
    temporary.write_text(json.dumps(plain, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")
    return temporary.replace(path)


def load(name: str) -> Recording | None:
    """The recording of the scenario, or None. Raises UsageError if the file isn't a recording."""
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
        raise UsageError(f"{path.name} isn't a recording: {type(error).__name__}: {error}") from error
