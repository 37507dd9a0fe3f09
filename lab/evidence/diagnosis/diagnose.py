"""Diagnosis: why a program or a check failed, in a sentence or two taken from the evidence.

Strategy: each rule looks at packets, socket states, counters and output for one cause, and gives findings
with the moment at which it bit. Findings from while a program ran that failed come first; then the rule's
rank decides. A rule says nothing unless the evidence shows it: no finding is better than a guess.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from lab.evidence.diagnosis import RULES
from lab.evidence.diagnosis.model import Evidence, Finding

MAX_SENTENCES = 2

__all__ = ["Diagnosis", "Evidence", "diagnose"]


@dataclass(frozen=True)
class Diagnosis:
    """What the evidence says, if anything. ``see_also`` names scenarios that show the same."""

    sentences: tuple[str, ...] = ()
    see_also: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.sentences)

    @property
    def text(self) -> str:
        return " ".join(self.sentences)

    def to_dict(self) -> dict[str, Any]:
        """As plain values, for a record."""
        return {"sentences": list(self.sentences), "see_also": list(self.see_also)}


def diagnose(evidence: Evidence) -> Diagnosis:
    """The causes that the evidence shows best."""
    best = _best(list(_findings(evidence)), evidence)
    see_also = dict.fromkeys(name for finding in best for name in finding.see_also)
    return Diagnosis(tuple(finding.sentence for finding in best), tuple(see_also))


def _findings(evidence: Evidence) -> Iterator[Finding]:
    for rank, rule in enumerate(RULES):
        for finding in rule(evidence):
            yield finding.ranked(rank)


def _best(findings: list[Finding], evidence: Evidence) -> list[Finding]:
    """At most MAX_SENTENCES, each about something else: a cause makes what it causes superfluous."""

    def order(finding: Finding) -> tuple[bool, int, float]:
        return not evidence.failing_at(finding.at), finding.rank, finding.at

    chosen: list[Finding] = []
    for finding in sorted(findings, key=order):
        if all(not finding.about & other.about for other in chosen):
            chosen.append(finding)
    return chosen[:MAX_SENTENCES]
