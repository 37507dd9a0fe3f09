"""Plain text as Markdown: it reads the same in a page as in a terminal."""

from __future__ import annotations

import re

MARKUP = re.compile(r"(`[^`\n]+`)|([*<&$~`\\]|(?<![^\W_])_|_(?![^\W_]))")

# In Markdown a line break is a space. Chinese has no spaces between characters or around punctuation.
MARKS = "\u3000-\u303f\uff00-\uffef“”‘’—…"
IDEOGRAPHS = "\u3400-\u9fff"
NEW_LINE = r"\n(?![-*+] |\d+[.)] )"
SEAM = re.compile(
    rf"(?<=[{IDEOGRAPHS}]){NEW_LINE}(?=[{IDEOGRAPHS}])"
    rf"|(?<=[{MARKS}]){NEW_LINE}(?=\S)|(?<=\S){NEW_LINE}(?=[{MARKS}])"
)


def prose(text: str) -> str:
    """A lesson as Markdown. `code` and indented blocks stay; other characters of markup are escaped."""
    lines = text.split("\n")
    return joined("\n".join(line if line.startswith("    ") else _escaped(line) for line in lines))


def _escaped(line: str) -> str:
    return MARKUP.sub(lambda found: found[1] or f"\\{found[2]}", line)


def joined(text: str) -> str:
    """Markdown without the line breaks that would become spaces within Chinese text."""
    return SEAM.sub("", text)


def fenced(text: str, language: str) -> str:
    """A code block with a fence that no line of ``text`` can close."""
    longest = max(map(len, re.findall("`+", text)), default=0)
    fence = "`" * max(3, longest + 1)
    return f"{fence}{language}\n{text}\n{fence}"
