"""Plain data as YAML. No I/O."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

# A string that needs no quotes, unless it is one of _WORDS.
_PLAIN = re.compile(r"(\./|/|\$\{|[A-Za-z])([\w./:${}-]*[\w./}-])?")
_WORDS = {"y", "n", "yes", "no", "on", "off", "true", "false", "null"}


def as_yaml(value: Mapping[str, Any] | Iterable[Any]) -> str:
    """A mapping or list of plain data (strings, numbers, booleans, None) in block style."""
    return "\n".join(_block(value))


def scalar(value: Any) -> str:
    """A single value; a string has quotes only if it needs them."""
    if isinstance(value, str) and _PLAIN.fullmatch(value) and value.lower() not in _WORDS:
        return value
    text = json.dumps(value, ensure_ascii=False)
    return text if text.isprintable() else "".join(map(_printable, text))


def _printable(character: str) -> str:
    """Escapes an unprintable character: some of them are line breaks in YAML."""
    return character if character.isprintable() else f"\\U{ord(character):08x}"


def _block(value: Mapping[str, Any] | Iterable[Any]) -> Iterator[str]:
    if isinstance(value, Mapping):
        entries = [(f"{scalar(name)}:", item) for name, item in value.items()]
    else:
        entries = [("-", item) for item in value]
    for head, item in entries:
        if not isinstance(item, (Mapping, list, tuple)) or not item:
            yield f"{head} {scalar(item)}"
        elif head == "-":
            first, *others = _block(item)
            yield f"- {first}"
            yield from (f"  {line}" for line in others)
        else:
            yield head
            yield from (f"  {line}" for line in _block(item))
