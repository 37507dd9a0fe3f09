"""Text from a peer, made safe to show."""

from __future__ import annotations


def printable(text: str) -> str:
    """``text`` with control characters escaped, so that what a peer sent can't steer the terminal."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def shown(data: bytes, most: int = 1024) -> str:
    """``data`` as text, whatever bytes it holds, cut after ``most`` characters. Not yet printable."""
    text = data.decode(errors="backslashreplace")
    return text if len(text) <= most else f"{text[:most]}… ({len(data)} bytes)"
