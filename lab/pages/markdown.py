"""Text that means the same in a Markdown page as in a terminal."""

from __future__ import annotations

import re

MARKUP = re.compile(r"[*<`\\]|(?<!\w)_|_(?!\w)")

# A line's end is a blank to Markdown. Chinese has none between its characters, nor around its punctuation.
MARKS = "\u3000-\u303f\uff00-\uffef“”‘’—…"
IDEOGRAPHS = "\u3400-\u9fff"
NEW_LINE = r"\n(?![-*+] |\d+[.)] )"
SEAM = re.compile(
    rf"(?<=[{IDEOGRAPHS}]){NEW_LINE}(?=[{IDEOGRAPHS}])"
    rf"|(?<=[{MARKS}]){NEW_LINE}(?=\S)|(?<=\S){NEW_LINE}(?=[{MARKS}])"
)


def prose(text: str) -> str:
    """A lesson: what would be markup is escaped, and Chinese lines are joined. Indented blocks, its
    pictures, stay as they are.
    """
    lines = text.split("\n")
    lines = [line if line.startswith("    ") else MARKUP.sub(r"\\\g<0>", line) for line in lines]
    return SEAM.sub("", "\n".join(lines))


def fenced(text: str, language: str) -> str:
    """A code block that no line of the text can close."""
    longest = max(map(len, re.findall("`+", text)), default=0)
    fence = "`" * max(3, longest + 1)
    return f"{fence}{language}\n{text}\n{fence}"
