"""A scenario's code: the part that its page shows, and the fingerprint that ties a recording to it."""

from __future__ import annotations

import ast
import hashlib
import re

from lab.scenarios import catalog
from lab.scenarios.catalog import Scenario

DOCUMENTED = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)


def text_of(name: str) -> str:
    """The text of the scenario's file."""
    return (catalog.FOLDER / f"{name.replace('-', '_')}.py").read_text(encoding="utf-8")


def fingerprint(scenario: Scenario) -> str:
    """A digest of the scenario's code without docstrings, comments and layout.

    NEEDS is left out, because it doesn't change how a scenario is played. ast.dump isn't used: its output
    differs between the Python versions that the project supports.
    """
    tree = ast.parse(text_of(scenario.name))
    tree.body = [node for node in tree.body if not _is_needs(node)]
    code = _plain(tree)
    return hashlib.sha256(repr((code, sorted(scenario.programs.items()))).encode()).hexdigest()


def _plain(node: object) -> object:
    if isinstance(node, ast.AST):
        fields = dict(ast.iter_fields(node))
        if isinstance(node, DOCUMENTED) and ast.get_docstring(node, clean=False) is not None:
            fields["body"] = fields["body"][1:]
        return type(node).__name__, [(k, _plain(v)) for k, v in fields.items() if v not in (None, [])]
    return [_plain(part) for part in node] if isinstance(node, list) else repr(node)


def playing(scenario: Scenario, text: str) -> str:
    """The scenario's file without the lesson and the programs: how the lab plays and checks it."""
    lines = text.splitlines()
    tree = ast.parse(text)
    for node in reversed(tree.body):
        if node is tree.body[0] or _defines(node, scenario) or _is_needs(node):
            del lines[node.lineno - 1 : node.end_lineno]
    return re.sub(r"\n{4,}", "\n\n\n", "\n".join(lines)).strip("\n")


def _is_needs(node: ast.stmt) -> bool:
    """Whether this is the assignment of NEEDS."""
    return isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "NEEDS"


def _defines(node: ast.stmt, scenario: Scenario) -> bool:
    """Whether this is the assignment of one of the scenario's programs."""
    return isinstance(node, ast.Assign) and any(
        isinstance(target, ast.Name) and target.id in scenario.programs for target in node.targets
    )
