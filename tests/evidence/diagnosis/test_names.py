"""The scenarios that the rules name for further reading exist."""

import ast
import string
from pathlib import Path

import pytest

from lab.evidence import diagnosis
from lab.scenarios import catalog

FILES = sorted(Path(diagnosis.__file__).parent.glob("*.py"))


def test_every_scenario_that_a_rule_names_exists():
    named = {name for file in FILES for name in names(ast.parse(file.read_text()))}
    assert {"reset-on-close", "connect-errors", "udp-overrun", "gbk-console", "both-send"} <= named
    assert named <= set(catalog.names()), "the rules name scenarios that aren't there"


def names(tree):
    """The texts in tuples that hold nothing else, in the places where a rule names scenarios.

    These are the last argument of a Finding, the variable ``see_also``, and the second value that a function
    returns.
    """
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "Finding":
            yield from texts(node.args[3:])
        if isinstance(node, ast.Return) and isinstance(node.value, ast.Tuple):
            yield from texts(node.value.elts[1:])
        if isinstance(node, ast.Assign | ast.AnnAssign) and "see_also" in assigned(node):
            yield from texts([node.value])


def assigned(node):
    """The names of the variables that an assignment sets."""
    targets = node.targets if isinstance(node, ast.Assign) else [node.target]
    return {target.id for target in targets if isinstance(target, ast.Name)}


def texts(nodes):
    """The texts in all tuples within ``nodes``."""
    for node in nodes:
        for part in ast.walk(node):
            if isinstance(part, ast.Tuple):
                yield from (leaf.value for leaf in part.elts if isinstance(leaf, ast.Constant))


def messages():
    """Each call of message() and messages() in the rules: its texts, and the names of its fields."""
    for file in FILES:
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.Call) and getattr(node.func, "id", "") in ("message", "messages"):
                yield [text.value for text in node.args], {keyword.arg for keyword in node.keywords}


@pytest.mark.parametrize(("texts", "fields"), list(messages()), ids=lambda value: str(sorted(value)))
def test_a_message_has_the_fields_that_its_text_names(texts, fields):
    named = {name for text in texts for _, name, _, _ in string.Formatter().parse(text) if name}
    assert named == fields if len(texts) == 1 else named | {"count"} == fields


def test_no_message_is_empty():
    """The translation of the empty text is the header of the catalog."""
    assert all(text.strip() for texts, _ in messages() for text in texts)
