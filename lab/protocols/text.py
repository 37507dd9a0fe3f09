"""Text from a peer, made safe to show."""

from __future__ import annotations


def printable(text: str) -> str:
    """``text`` with control characters escaped, so that what a peer sent can't steer the terminal."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)
