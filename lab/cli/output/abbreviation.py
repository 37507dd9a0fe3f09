"""Shortens long commands and lines of output."""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping

from lab.locale import messages

MAX_CHARACTERS = 240  # shown of one line


def shortened(command: str, programs: Mapping[str, str], language: str = "en") -> str:
    """``command`` with the names of the scenario's programs in place of their texts."""
    for name, text in programs.items():
        command = command.replace(shlex.quote(f"\n{text}\n"), name)
    return re.sub(r"'\n(.*\n)+'", lambda found: f"'{_lines(found[0].count(chr(10)) - 1, language)}'", command)


def _lines(count: int, language: str) -> str:
    return messages("… {count} line …", "… {count} lines …", count=count).in_language(language)


def cut(line: str, language: str = "en") -> str:
    """The first MAX_CHARACTERS of ``line``, and how many are left out."""
    left_out = len(line) - MAX_CHARACTERS
    if left_out <= 0:
        return line
    more = messages("… {count} more character", "… {count} more characters", count=left_out)
    return f"{line[:MAX_CHARACTERS]} {more.in_language(language)}"
