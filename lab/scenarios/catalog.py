"""The scenarios: one file each in scenarios/, found by name, listed by the first line of its docstring.

A scenario has ``run(lab)`` and ``check(record)``. A pitfall has ``run(lab, variant)`` and a check for each
variant, ``check_broken(record)`` and ``check_fixed(record)``; its record maps the variants to their records.
"""

from __future__ import annotations

import ast
import difflib
import importlib.util
import os
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any, TypeAlias

from lab import shipped
from lab.errors import UsageError
from lab.locale import message
from lab.topology.node import PROFILES

if TYPE_CHECKING:
    from lab.control.lab import Lab

FOLDER = Path(os.environ.get("LAB_SCENARIOS") or shipped.SCENARIOS)

VARIANTS = ("broken", "fixed")
# Properties of some labs only: each host's own name is that of the topology; IPv6; SSH from host to host.
NEEDS = ("hostname", "ipv6", "ssh")
QUOTED = re.compile(r"""["']([a-z][a-z0-9-]*)["']""")

Record: TypeAlias = dict[str, Any]


@dataclass(frozen=True)
class Scenario:
    """``run`` controls the hosts and returns a record of plain values; ``check`` makes assertions about that
    record only.

    ``topology`` is the shipped topology that it is written for, "" for the default one. ``profile`` is the
    profile that the lab must have, "" for any. ``outcomes`` maps each variant to play to
    the docstring of its check; it is empty unless the scenario is a pitfall. ``programs`` are the programs in
    the scenario's file, by the names of its constants. With ``acks`` its sequence diagrams include pure ACKs.
    ``words`` are the strings in its code that may be names of nodes or segments, ``needs`` some of NEEDS.
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
    topology: str = ""
    words: frozenset[str] = frozenset()
    needs: tuple[str, ...] = ()


def names() -> list[str]:
    """The names of all scenarios, as on the command line. Raises UsageError if their folder is missing."""
    if not FOLDER.is_dir():
        raise UsageError(message("LAB_SCENARIOS: {folder} isn't a folder", folder=FOLDER))
    return sorted(path.stem.replace("_", "-") for path in FOLDER.glob("*.py") if path.stem[0] != "_")


def title(name: str) -> str:
    """The title of a scenario, for `lab list`. The file is parsed, not executed. Raises UsageError."""
    lesson = ast.get_docstring(_parsed(name)) or ""
    return lesson.partition("\n")[0]


def topology(name: str) -> str:
    """The topology that a scenario names, for `lab list`, or "". Raises UsageError."""
    for statement in _parsed(name).body:
        if isinstance(statement, ast.Assign) and ast.unparse(statement.targets[0]) == "TOPOLOGY":
            return str(ast.literal_eval(statement.value))
    return ""


def _parsed(name: str) -> ast.Module:
    return ast.parse(_path(name).read_text())


def load(name: str, variant: str | None = None) -> Scenario:
    """Loads the scenario called ``name``; if ``variant`` is given, only that variant of a pitfall.

    Raises UsageError if there is no such scenario or variant, or if the file isn't a valid scenario.
    """
    path = _path(name)
    module = _module(path)
    title, _, lesson = (module.__doc__ or "").strip().partition("\n")
    if not title:
        raise _invalid(path, message("its docstring has no title"))
    profile = getattr(module, "PROFILE", "")
    if profile and profile not in PROFILES:
        raise _invalid(
            path, message("no profile {name!r}; there is: {known}", name=profile, known=_list(PROFILES))
        )
    topology = getattr(module, "TOPOLOGY", "")
    _require_topology(path, topology)
    acks = bool(getattr(module, "ACKS", False))
    words, needs = _words(_parsed(name)), tuple(getattr(module, "NEEDS", ()))
    if unknown := set(needs) - set(NEEDS):
        raise _invalid(
            path, message("no need {name!r}; there are: {known}", name=min(unknown), known=_list(NEEDS))
        )
    programs = {k: v.strip("\n") for k, v in vars(module).items() if k.isupper() and _is_program(v)}
    try:
        if not hasattr(module, "check_broken"):
            if variant:
                raise UsageError(message("{name} has no variants: it isn't a pitfall", name=name))
            return Scenario(
                name, title, lesson.strip(), module.run, module.check, {}, programs, profile, acks, topology,
                words, needs,
            )  # fmt: skip
        if variant and variant not in VARIANTS:
            raise UsageError(
                message("no variant {name!r}; there are: {known}", name=variant, known=_list(VARIANTS))
            )
        checks = {v: getattr(module, f"check_{v}") for v in VARIANTS if variant in (None, v)}
    except AttributeError as error:
        raise _invalid(path, error) from error
    outcomes = {v: (check.__doc__ or "").strip() for v, check in checks.items()}
    if not all(outcomes.values()):
        raise _invalid(path, message("a check has no docstring"))
    run, check = _by_variant(module.run, checks)
    return Scenario(
        name, title, lesson.strip(), run, check, outcomes, programs, profile, acks, topology, words, needs
    )


def _require_topology(path: Path, name: object) -> None:
    from lab.engine.description import topologies  # not at the top: `lab list` doesn't need it

    known = topologies.names()  # none in the runner's container, which plays on the default topology only
    if name and known and name not in known:
        raise _invalid(
            path, message("no topology {name!r}; there are: {known}", name=name, known=_list(known))
        )


def _words(tree: ast.Module) -> frozenset[str]:
    """The strings in the code, except keys, and the quoted words in the texts of programs."""
    keys = {id(key) for node in ast.walk(tree) if isinstance(node, ast.Dict) for key in node.keys}
    keys |= {id(node.slice) for node in ast.walk(tree) if isinstance(node, ast.Subscript)}
    texts = {
        node.value
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in keys
    }
    quoted = (word for text in texts if _is_program(text) for word in QUOTED.findall(text))
    return frozenset([*texts, *quoted])


def _invalid(path: Path, why: object) -> UsageError:
    return UsageError(message("{file} isn't a scenario: {why}", file=path.name, why=why))


def _list(names: Iterable[str]) -> str:
    return ", ".join(names)


def _module(path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(f"scenarios.{path.stem}", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
    except Exception as error:
        raise _invalid(path, f"{type(error).__name__}: {error}") from error
    return module


def _is_program(value: object) -> bool:
    return isinstance(value, str) and "import " in value and "\n" in value


def _by_variant(
    play: Callable[[Lab, str], Record], checks: Mapping[str, Callable[[Record], None]]
) -> tuple[Callable[[Lab], Record], Callable[[Record], None]]:
    """``run`` and ``check`` of a pitfall, which call those of each variant in turn."""

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
    if name in known:
        return FOLDER / f"{name.replace('-', '_')}.py"
    close = difflib.get_close_matches(name, known, 1)
    if close:
        raise UsageError(
            message(
                "no scenario {name!r}; did you mean {close}? there are: {known}",
                name=name,
                close=close[0],
                known=_list(known),
            )
        )
    raise UsageError(message("no scenario {name!r}; there are: {known}", name=name, known=_list(known)))
