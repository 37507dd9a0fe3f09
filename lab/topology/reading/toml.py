"""Loads a TOML document together with the lines of its keys."""

from __future__ import annotations

import re
import tomllib
from typing import Any

from lab.locale import Message, message
from lab.topology.reading.lines import Lines


class TomlError(ValueError):
    """A text that isn't TOML: the line of the mistake, the problem, and a remedy."""

    def __init__(self, line: int, problem: str) -> None:
        super().__init__(problem)
        self.line = line
        self.problem: Message = message("this isn't TOML: {problem}", problem=problem)
        self.remedy: Message = message("a string is in quotes, a table's name in brackets")


def load(text: str) -> tuple[dict[str, Any], Lines]:
    """The content of a TOML document, and the line of each key. Raises TomlError."""
    try:
        return tomllib.loads(text), Lines(text)
    except RecursionError:
        raise TomlError(1, "nested too deeply") from None
    except ValueError as error:
        found = re.search(r" \(at (?:line (\d+), column \d+|end of document)\)$", str(error))
        line = int(found[1]) if found and found[1] else text.count("\n") + 1
        raise TomlError(line, str(error)[: found.start()] if found else str(error)) from None
