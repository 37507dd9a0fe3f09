"""The terminal of a remote command."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Terminal:
    """The type of a terminal, as in the variable TERM, and its size in characters."""

    kind: str
    columns: int
    rows: int
