"""Makes text from a peer, or the name of a file, safe to print."""

from __future__ import annotations


def printable(text: str) -> str:
    """``text`` with control characters escaped, so that a peer can't control the terminal.

    Undecodable bytes of a file name (surrogateescape) become ``\\xNN``.
    """
    return "".join(c if c.isprintable() else _escape(c) for c in text)


def _escape(character: str) -> str:
    if "\udc80" <= character <= "\udcff":  # os.fsdecode's form of a byte that isn't UTF-8
        return f"\\x{ord(character) - 0xDC00:02x}"
    return character.encode("unicode_escape").decode()


def shown(data: bytes, most: int = 1024) -> str:
    """Any ``data`` as text, cut after ``most`` characters. It may still contain control characters."""
    text = data.decode(errors="backslashreplace")
    return text if len(text) <= most else f"{text[:most]}… ({len(data)} bytes)"
