"""The differences that a reset finds."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple, TypeAlias

JsonObject: TypeAlias = dict[str, Any]

NAMED = 5  # items of one finding that are listed; the others are counted


class Finding(NamedTuple):
    """Something that differed from the node's state when it came up.

    ``kind`` is one of the kinds of lab/control/reset.py. If it isn't ``undone``, the node must be replaced.
    """

    kind: str
    items: tuple[str, ...]
    undone: bool = True

    def as_json(self) -> JsonObject:
        more = len(self.items) - NAMED
        return {
            "kind": self.kind,
            "items": [*self.items[:NAMED], *([f"+{more}"] if more > 0 else [])],
            "undone": self.undone,
        }


def finding(kind: str, items: Iterable[str], *, undone: bool = True) -> list[Finding]:
    """A finding, or none if there are no items."""
    found = tuple(items)
    return [Finding(kind, found, undone)] if found else []
