"""The packets of a run as a Mermaid sequence diagram, which code hosts render.

Text from a payload stays text: every character with a meaning in Mermaid is written as its number (#59;). So
no text can end its line, begin a comment or close the code block.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping, Sequence

from docs.tools.recording import Step
from lab.locale import Message, message, messages
from lab.protocols.printable import printable

REMARKS = {
    "lost": message("lost"),
    "retransmission": message("retransmission"),
    "probe": message("probe"),
    "corrupted": message("corrupted"),
    "duplicate": message("duplicate"),
}
PAUSE = 0.03  # seconds without a packet from which on a note says so
# Escaped are all characters but letters, digits and a few marks; words and marks with a meaning in Mermaid
# ("end", "wrap:", a colon within a word); and the two characters that Mermaid itself puts around a number.
UNSAFE = re.compile(
    r"\be(?=nd\b)|(?<=wrap):|:(?! )|[^A-Za-z0-9 ,.()/:\-\u0080-\U0010ffff]|[ﬂ¶]", re.IGNORECASE
)

# A name that is written as it is. Mermaid takes the beginning of a line for a keyword even if it is only the
# beginning of a name; another name is written as that of a numbered participant.
KEYWORDS = (
    "acc|activate|actor|alt|and|as|autonumber|box|break|create|critical|deactivate|destroy|details|else|end|"
    "left|link|loop|note|off|opt|over|par|properties|rect|right|sequence|title"
)
PLAIN = re.compile(rf"(?!{KEYWORDS})[a-z][a-z0-9]*")


def diagram(steps: Iterable[Step], language: str, lanes: Sequence[str], hidden_acks: int = 0) -> str:
    """The diagram's text in ``language``, "" without steps. ``lanes`` are the nodes from left to right.

    A note at the end says how many pure ACKs aren't shown.
    """
    names = {lane: lane if PLAIN.fullmatch(lane) else f"n{number}" for number, lane in enumerate(lanes, 1)}
    lines: list[str] = []
    before = math.inf
    for step in steps:
        if step.at - before >= PAUSE and not step.left_out:
            lines.append(_note(_duration(step.at - before).in_language(language), names))
        lines.append(_line(step, language, names))
        # No pause is shown after the preparations (before the first packet) or after a gap.
        before = math.inf if step.at < 0 or step.left_out else step.at
    if not lines:
        return ""
    if hidden_acks:
        lines.append(_note(_acks_note(hidden_acks).in_language(language), names))
    return "\n    ".join(["sequenceDiagram", *map(_participant, names, names.values()), *lines])


def _participant(lane: str, name: str) -> str:
    return f"participant {name}" if lane == name else f"participant {name} as {escaped(lane)}"


def escaped(text: str) -> str:
    """``text`` for a message or a note, on one line."""
    return UNSAFE.sub(lambda found: f"#{ord(found[0])};", printable(text))


def _line(step: Step, language: str, names: Mapping[str, str]) -> str:
    if step.note:
        return _note(step.note, names)
    if step.left_out:
        return _note(_gap(step).in_language(language), names)
    remarks = [f"NAT {step.translation}"] * bool(step.translation)
    remarks += [
        REMARKS[remark].in_language(language) for remark in (step.mark, step.fate) if remark in REMARKS
    ]
    remarks += [f"{step.delay * 1000:.0f} ms"] if step.delay else []
    label = step.label + (f" ({', '.join(remarks)})" if remarks else "")
    if step.fate == "lost":
        return f"{names[step.source]}-x{names[_lost_at(step, list(names))]}: {escaped(label)}"
    return f"{names[step.source]}->>{names[step.destination]}: {escaped(label)}"


def _lost_at(step: Step, lanes: Sequence[str]) -> str:
    """The lane with the cross: that of the last node that received the packet."""
    if step.lost_at in lanes:
        return step.lost_at
    here, there = lanes.index(step.source), lanes.index(step.destination)
    return lanes[here + (there > here) - (there < here)]


def _note(text: str, names: Mapping[str, str]) -> str:
    first, *rest = names.values()
    return f"Note over {','.join((first, *rest[-1:]))}: {escaped(text)}"


def _gap(step: Step) -> Message:
    if not step.lost:
        return messages("… {count} more packet", "… {count} more packets", count=step.left_out)
    return messages(
        "… {count} more packet, {lost} of them lost",
        "… {count} more packets, {lost} of them lost",
        count=step.left_out,
        lost=step.lost,
    )


def _acks_note(count: int) -> Message:
    return messages("{count} pure ACK is not shown", "{count} pure ACKs are not shown", count=count)


def _duration(seconds: float) -> Message:
    text = f"{seconds:.1f} s" if seconds >= 1 else f"{seconds * 1000:.0f} ms"
    return message("{time} later", time=text)
