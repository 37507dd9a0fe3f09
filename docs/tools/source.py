"""A scenario's own code: what the page shows of it, and by what a recording knows it again."""

from __future__ import annotations

import ast
import hashlib
import re

from lab.scenarios import catalog
from lab.scenarios.catalog import Scenario

DOCUMENTED = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)


def text_of(name: str) -> str:
    """The scenario's file."""
    return (catalog.FOLDER / f"{name.replace('-', '_')}.py").read_text(encoding="utf-8")


def fingerprint(scenario: Scenario) -> str:
    """The same as long as the scenario does the same: docstrings, comments and layout don't count.

    And the same with every Python that the project supports, which is why this isn't ast.dump.
    """
    code = _plain(ast.parse(text_of(scenario.name)))
    return hashlib.sha256(repr((code, sorted(scenario.programs.items()))).encode()).hexdigest()


def _plain(node: object) -> object:
    if isinstance(node, ast.AST):
        fields = dict(ast.iter_fields(node))
        if isinstance(node, DOCUMENTED) and ast.get_docstring(node, clean=False) is not None:
            fields["body"] = fields["body"][1:]
        return type(node).__name__, [(k, _plain(v)) for k, v in fields.items() if v not in (None, [])]
    return [_plain(part) for part in node] if isinstance(node, list) else repr(node)


def playing(scenario: Scenario, text: str) -> str:
    """How the lab plays and checks the scenario: its file without the lesson and the programs."""
    lines = text.splitlines()
    tree = ast.parse(text)
    for node in reversed(tree.body):
        if node is tree.body[0] or _defines(node, scenario):
            del lines[node.lineno - 1 : node.end_lineno]
    return re.sub(r"\n{4,}", "\n\n\n", "\n".join(lines)).strip("\n")


def _defines(node: ast.stmt, scenario: Scenario) -> bool:
    """Whether this is the assignment of one of the scenario's programs."""
    return isinstance(node, ast.Assign) and any(
        isinstance(target, ast.Name) and target.id in scenario.programs for target in node.targets
    )
