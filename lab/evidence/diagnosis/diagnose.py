"""Diagnosis: why a program or a check failed, in one or two sentences that the evidence supports.

Each rule searches packets, socket states, counters and output for one cause. Findings from the time in which
a failed program ran come first, then those of higher rank. A rule states a cause only if the evidence shows
it: no finding is better than a guess.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from lab.evidence.diagnosis import RULES
from lab.evidence.diagnosis.model import Evidence, Finding
from lab.link.errors import ImpairmentError
from lab.link.settings import LinkSettings
from lab.locale import Message

MAX_SENTENCES = 2

__all__ = ["Diagnosis", "Evidence", "diagnose"]


@dataclass(frozen=True)
class Diagnosis:
    """The causes that the evidence shows. ``see_also`` names scenarios that show the same causes."""

    messages: tuple[Message, ...] = ()
    see_also: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.messages)

    def in_language(self, language: str) -> tuple[str, ...]:
        """The sentences in a language."""
        return tuple(sentence.in_language(language) for sentence in self.messages)

    @property
    def sentences(self) -> tuple[str, ...]:
        """The sentences in English."""
        return self.in_language("en")

    @property
    def text(self) -> str:
        """All sentences in English, as one text."""
        return " ".join(self.sentences)

    def to_dict(self) -> dict[str, Any]:
        """For record.json: the English sentences, and the messages from which any language can be made."""
        return {
            "sentences": list(self.sentences),
            "messages": [_to_json(sentence) for sentence in self.messages],
            "see_also": list(self.see_also),
        }

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Diagnosis:
        """The inverse of ``to_dict``. Raises ValueError for any other value."""
        try:
            sentences = tuple(_from_json(entry) for entry in values["messages"])
            found = cls(sentences, tuple(str(name) for name in values["see_also"]))
            found.in_language("en")  # a template whose fields are missing
        except (LookupError, TypeError, AttributeError, AssertionError, ImpairmentError) as error:
            raise ValueError(f"invalid diagnosis: {type(error).__name__}: {error}") from None
        return found


def diagnose(evidence: Evidence) -> Diagnosis:
    """The causes that explain the failure best, at most MAX_SENTENCES."""
    chosen = _choose(
        evidence, [(rank, finding) for rank, rule in enumerate(RULES) for finding in rule(evidence)]
    )
    see_also = dict.fromkeys(name for finding in chosen for name in finding.see_also)
    return Diagnosis(tuple(finding.sentence for finding in chosen), tuple(see_also))


def _choose(evidence: Evidence, ranked: list[tuple[int, Finding]]) -> list[Finding]:
    """The best findings, no two with a common subject: a consequence needs no second sentence."""

    def order(entry: tuple[int, Finding]) -> tuple[bool, int, float]:
        rank, finding = entry
        return not evidence.failing_at(finding.at), rank, finding.at

    chosen: list[Finding] = []
    for _, finding in sorted(ranked, key=order):
        if all(not finding.subjects & other.subjects for other in chosen):
            chosen.append(finding)
    return chosen[:MAX_SENTENCES]


def _to_json(value: object) -> Any:
    """A message or a link's settings as a JSON object; any other value unchanged."""
    if isinstance(value, LinkSettings):
        return {"settings": value.as_json()}
    if not isinstance(value, Message):
        return value
    fields = {name: _to_json(entry) for name, entry in value.fields.items()}
    return {"text": value.text, "fields": fields} | ({"plural": value.plural} if value.plural else {})


def _from_json(value: Mapping[str, Any]) -> Message:
    fields = {name: _field(entry) for name, entry in value["fields"].items()}
    return Message(value["text"], fields, value.get("plural", ""))


def _field(entry: Any) -> object:
    if not isinstance(entry, dict):
        return entry
    return LinkSettings.from_json(entry["settings"]) if "settings" in entry else _from_json(entry)
