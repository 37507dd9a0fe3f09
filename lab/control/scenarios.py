"""The scenarios: one file each in scenarios/, found by name, listed by the first line of its docstring."""

from __future__ import annotations

import ast
import difflib
import importlib.util
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

from lab.control.errors import UsageError

if TYPE_CHECKING:
    from lab.control.lab import Lab

FOLDER = Path(os.environ.get("LAB_SCENARIOS") or Path(__file__).parents[2] / "scenarios")

Record: TypeAlias = dict[str, Any]


@dataclass(frozen=True)
class Scenario:
    """``run`` drives the hosts and returns plain values; ``check`` asserts over those values alone."""

    name: str
    title: str
    lesson: str  # the rest of the docstring
    run: Callable[[Lab], Record]
    check: Callable[[Record], None]


def names() -> list[str]:
    """All scenarios, as they are called on the command line."""
    return sorted(path.stem.replace("_", "-") for path in FOLDER.glob("*.py") if path.stem[0] != "_")


def title(name: str) -> str:
    """What `lab list` shows of a scenario. The file is read, not run. Raises UsageError."""
    lesson = ast.get_docstring(ast.parse(_path(name).read_text())) or ""
    return lesson.partition("\n")[0]


def load(name: str) -> Scenario:
    """The scenario called ``name``. Raises UsageError where there is none, or it isn't one."""
    path = _path(name)
    spec = importlib.util.spec_from_file_location(f"scenarios.{path.stem}", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
        run, check = module.run, module.check
    except Exception as error:
        raise UsageError(f"{path.name} is no scenario: {type(error).__name__}: {error}") from error
    first, _, rest = (module.__doc__ or "").strip().partition("\n")
    if not first:
        raise UsageError(f"{path.name} is no scenario: its docstring has no title")
    return Scenario(name, first, rest.strip(), run, check)


def _path(name: str) -> Path:
    known = names()
    if name not in known:
        close = difflib.get_close_matches(name, known, 1)
        hint = f"did you mean {close[0]}? " if close else ""
        raise UsageError(f"no scenario {name!r}; {hint}there are: {', '.join(known)}")
    return FOLDER / f"{name.replace('-', '_')}.py"
