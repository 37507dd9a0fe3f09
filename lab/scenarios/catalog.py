"""The scenarios: one file each in scenarios/, found by name, listed by the first line of its docstring.

A program has ``run(lab)`` and ``check(record)``. A pitfall has ``run(lab, variant)``, and a check for each
variant, ``check_broken(record)`` and ``check_fixed(record)``; its record holds each variant's under its name.
"""

from __future__ import annotations

import ast
import difflib
import importlib.util
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any, TypeAlias

from lab.errors import UsageError
from lab.topology.node import PROFILES

if TYPE_CHECKING:
    from lab.control.lab import Lab

FOLDER = Path(os.environ.get("LAB_SCENARIOS") or Path(__file__).parents[2] / "scenarios")

VARIANTS = ("broken", "fixed")

Record: TypeAlias = dict[str, Any]


@dataclass(frozen=True)
class Scenario:
    """``run`` drives the hosts and returns plain values; ``check`` asserts over those values alone.

    ``profile`` is the one that the lab must have, "" where any will do.
    ``outcomes`` says in a line what each variant comes to, in the words of its check: a pitfall has one for
    each variant that is to be played, another scenario none. ``programs`` are the texts of the programs that
    the file itself holds, by the names of its constants. ``acks``: its pictures show pure ACKs too.
    """

    name: str
    title: str
    lesson: str  # the rest of the docstring
    run: Callable[[Lab], Record]
    check: Callable[[Record], None]
    outcomes: Mapping[str, str] = field(default_factory=dict)
    programs: Mapping[str, str] = field(default_factory=dict)
    profile: str = ""
    acks: bool = False


def names() -> list[str]:
    """All scenarios, as they are called on the command line."""
    return sorted(path.stem.replace("_", "-") for path in FOLDER.glob("*.py") if path.stem[0] != "_")


def title(name: str) -> str:
    """What `lab list` shows of a scenario. The file is read, not run. Raises UsageError."""
    lesson = ast.get_docstring(ast.parse(_path(name).read_text())) or ""
    return lesson.partition("\n")[0]


def load(name: str, variant: str | None = None) -> Scenario:
    """The scenario called ``name``; of a pitfall only ``variant``, where one is given.

    Raises UsageError where there is none, or it isn't one, or it has no such variant.
    """
    path = _path(name)
    module = _module(path)
    title, _, lesson = (module.__doc__ or "").strip().partition("\n")
    if not title:
        raise UsageError(f"{path.name} is no scenario: its docstring has no title")
    profile = getattr(module, "PROFILE", "")
    if profile and profile not in PROFILES:
        raise UsageError(
            f"{path.name} is no scenario: no profile {profile!r}; there is: {', '.join(PROFILES)}"
        )
    acks = bool(getattr(module, "ACKS", False))
    programs = {k: v.strip("\n") for k, v in vars(module).items() if k.isupper() and _is_program(v)}
    try:
        if not hasattr(module, "check_broken"):
            if variant:
                raise UsageError(f"{name} has no variants: it is no pitfall")
            return Scenario(
                name, title, lesson.strip(), module.run, module.check, {}, programs, profile, acks
            )
        if variant and variant not in VARIANTS:
            raise UsageError(f"no variant {variant!r}; there are: {', '.join(VARIANTS)}")
        checks = {v: getattr(module, f"check_{v}") for v in VARIANTS if variant in (None, v)}
    except AttributeError as error:
        raise UsageError(f"{path.name} is no scenario: {error}") from error
    outcomes = {v: (check.__doc__ or "").strip() for v, check in checks.items()}
    if not all(outcomes.values()):
        raise UsageError(f"{path.name} is no scenario: a check without a docstring says nothing")
    run, check = _by_variant(module.run, checks)
    return Scenario(name, title, lesson.strip(), run, check, outcomes, programs, profile, acks)


def _module(path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(f"scenarios.{path.stem}", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
    except Exception as error:
        raise UsageError(f"{path.name} is no scenario: {type(error).__name__}: {error}") from error
    return module


def _is_program(value: object) -> bool:
    return isinstance(value, str) and "import " in value and "\n" in value


def _by_variant(
    play: Callable[[Lab, str], Record], checks: Mapping[str, Callable[[Record], None]]
) -> tuple[Callable[[Lab], Record], Callable[[Record], None]]:
    """A pitfall's ``run`` and ``check``: those of each variant, one after the other."""

    def run(lab: Lab) -> Record:
        record = {}
        for variant in checks:
            lab.begin(variant)
            record[variant] = play(lab, variant)
        return record

    def check(record: Record) -> None:
        assert list(record) == list(checks), "a variant is missing"
        for variant, check_variant in checks.items():
            check_variant(record[variant])

    return run, check


def _path(name: str) -> Path:
    known = names()
    if name not in known:
        close = difflib.get_close_matches(name, known, 1)
        hint = f"did you mean {close[0]}? " if close else ""
        raise UsageError(f"no scenario {name!r}; {hint}there are: {', '.join(known)}")
    return FOLDER / f"{name.replace('-', '_')}.py"
