"""Checks of single fields in messages and settings, for our own values and for a peer's."""

from __future__ import annotations

import math
import re
import reprlib
from collections.abc import Callable, Collection, Sequence
from typing import Any

MAX_SHOWN = 200  # characters of a value in a message
MAX_INTEGER = 2**53  # the largest integer that every JSON reader keeps exact (RFC 8259, section 6)


class FieldChecks:
    """Each check returns the value it was given.

    If the value is wrong, it raises ``error(name, problem)``; "{name} {problem}" is an English sentence.
    """

    def __init__(self, error: Callable[[str, str], Exception]) -> None:
        self._error = error

    def boolean(self, name: str, value: object) -> bool:
        if not isinstance(value, bool):
            raise self._error(name, "must be true or false")
        return value

    def integer(self, name: str, value: object, low: int = 0, high: int = MAX_INTEGER) -> int:
        """An integer from ``low`` to ``high``; a bool is not one."""
        if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
            limit = "2^53" if high == MAX_INTEGER else high
            raise self._error(name, f"must be an integer from {low} to {limit}, not {_shown(value)}")
        return value

    def number(self, name: str, value: object, low: float, high: float, unit: str = "") -> float:
        """A finite number from ``low`` to ``high``; a bool is not one."""
        if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
            raise self._error(name, f"must be a number, not {_shown(value)}")
        if not low <= value <= high:
            limits = f"{low:g} to {high:g} {unit}".strip()
            raise self._error(name, f"must be from {limits}, not {value:g}")
        return float(value)

    def text(self, name: str, value: object, longest: int) -> str:
        """A string of at most ``longest`` characters."""
        if not isinstance(value, str):
            raise self._error(name, "must be a string")
        if len(value) > longest:
            raise self._error(name, f"must have at most {longest} characters, not {len(value)}")
        return value

    def matching(self, name: str, value: object, pattern: str, description: str) -> str:
        """A string that matches the whole ``pattern``; ``description`` is for the message."""
        if not isinstance(value, str) or not re.fullmatch(pattern, value):
            raise self._error(name, f"must be {description}")
        return value

    def one_of(self, name: str, value: object, choices: Collection[str]) -> str:
        if not isinstance(value, str) or value not in choices:
            raise self._error(name, f"must be one of {', '.join(choices)}, not {_shown(value)}")
        return value

    def items(self, name: str, value: object, most: int) -> Sequence[Any]:
        """A list or tuple of at most ``most`` items."""
        if not isinstance(value, list | tuple):
            raise self._error(name, "must be a list")
        if len(value) > most:
            raise self._error(name, f"must have at most {most} items, not {len(value)}")
        return value

    def mapping(self, name: str, value: object, known: Collection[str] | None = None) -> dict[str, Any]:
        """A JSON object. If ``known`` is given, it must have no other keys."""
        if not isinstance(value, dict):
            raise self._error(name, "must be an object")
        for key in value:
            if known is not None and key not in known:
                raise self._error(name, f"has the unknown key {_shown(key)}; known: {', '.join(known)}")
        return value


def _shown(value: object) -> str:
    """``value`` for a message: short, and in ASCII, because it may be a peer's."""
    text = reprlib.repr(value).encode("ascii", "backslashreplace").decode()
    return text if len(text) <= MAX_SHOWN else f"{text[:MAX_SHOWN]}..."
