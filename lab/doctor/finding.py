"""The result of a check."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

from lab.locale import Message


class Level(StrEnum):
    """How a finding affects labs on this machine."""

    OK = "ok"
    NOTICE = "notice"  # a lab runs, with a limitation, or the check wasn't possible
    TROUBLE = "trouble"  # a lab doesn't start, or doesn't work


@dataclass(frozen=True)
class Finding:
    """The result of a check. ``check`` is its name, the same in each language."""

    check: str
    level: Level
    text: Message
    remedy: Message | None = None

    def to_dict(self, language: str = "en") -> dict[str, str | None]:
        """The finding with its texts in ``language``, for JSON."""
        return {
            "check": self.check,
            "level": self.level.value,
            "text": self.text.in_language(language),
            "remedy": self.remedy.in_language(language) if self.remedy else None,
        }


def can_run(findings: Iterable[Finding]) -> bool:
    """True if none of the findings keeps a lab from running."""
    return all(finding.level is not Level.TROUBLE for finding in findings)


def ok(check: str, text: Message) -> Finding:
    return Finding(check, Level.OK, text)


def notice(check: str, text: Message, remedy: Message | None = None) -> Finding:
    return Finding(check, Level.NOTICE, text, remedy)


def trouble(check: str, text: Message, remedy: Message) -> Finding:
    return Finding(check, Level.TROUBLE, text, remedy)
