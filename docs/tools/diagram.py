"""The packets of a run as a Mermaid sequence diagram, which code hosts draw.

Whatever a payload holds is text: what could mean something to Mermaid stands as its number (#59;). So no text
can end its line, begin a comment or close the code block.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping

from docs.tools.recording import Step
from lab.protocols.printable import printable

LANES = ("kali", "router", "win10")
PAUSE = 0.03  # seconds without a packet that are worth a note
# What doesn't stand as it is: all but letters, digits and a few marks; words and marks that mean something to
# Mermaid ("end", "wrap:", a colon within a word); and the two characters with which it marks such numbers.
UNSAFE = re.compile(
    r"\be(?=nd\b)|(?<=wrap):|:(?! )|[^A-Za-z0-9 ,.()/:\-\u0080-\U0010ffff]|[ﬂ¶]", re.IGNORECASE
)


def diagram(steps: Iterable[Step], words: Mapping[str, str]) -> str:
    """The lines of the diagram; nothing where there are no steps."""
    lines: list[str] = []
    before = math.inf
    for step in steps:
        if step.at - before >= PAUSE and not step.left_out:
            lines.append(_note(_duration(step.at - before, words)))
        lines.append(_line(step, words))
        # No pause after what was prepared before the first packet, nor after what is left out.
        before = math.inf if step.at < 0 or step.left_out else step.at
    if not lines:
        return ""
    return "\n    ".join(["sequenceDiagram", *(f"participant {lane}" for lane in LANES), *lines])


def escaped(text: str) -> str:
    """Text for a message or a note, in one line."""
    return UNSAFE.sub(lambda found: f"#{ord(found[0])};", printable(text))


def _line(step: Step, words: Mapping[str, str]) -> str:
    if step.note:
        return _note(step.note)
    if step.left_out:
        lost = words["of_these_lost"].format(step.lost) if step.lost else ""
        return _note(words["more_packets"].format(step.left_out) + lost)
    remarks = [words[remark] for remark in (step.mark, step.fate) if remark in words]
    remarks += [f"{step.delay * 1000:.0f} ms"] if step.delay else []
    label = step.label + (f" ({', '.join(remarks)})" if remarks else "")
    if step.fate == "lost":
        return f"{step.source}-x{_where_lost(step)}: {escaped(label)}"
    return f"{step.source}->>{step.destination}: {escaped(label)}"


def _where_lost(step: Step) -> str:
    """The cross stands at the router: there the packet was seen last."""
    return "router" if step.source != "router" else step.destination


def _note(text: str) -> str:
    return f"Note over {LANES[0]},{LANES[-1]}: {escaped(text)}"


def _duration(seconds: float, words: Mapping[str, str]) -> str:
    text = f"{seconds:.1f} s" if seconds >= 1 else f"{seconds * 1000:.0f} ms"
    return words["later"].format(text)
