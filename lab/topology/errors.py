"""Mistakes in the description of a lab: each has a place, a problem and a remedy."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TypeAlias

from lab.errors import UsageError
from lab.locale import Message, message

Path: TypeAlias = tuple[str, ...]  # the keys that lead to a value: ("hosts", "web", "address")


def shown(path: Path) -> str:
    """A path as text in one line."""
    parts = (part if part.isprintable() else repr(part) for part in path)
    return "".join(f"[{part}]" if part.isdecimal() else f".{part}" for part in parts).removeprefix(".")


@dataclass(frozen=True)
class Mistake:
    """A mistake in a description. ``path`` leads to the value that has to change."""

    path: Path
    problem: Message
    remedy: Message

    @property
    def where(self) -> str:
        """The path as text: "hosts.web.mounts[0]"."""
        return shown(self.path)

    @property
    def text(self) -> Message:
        """The mistake in one line."""
        if not self.path:
            return message("{problem}; {remedy}", problem=self.problem, remedy=self.remedy)
        return message(
            "{where}: {problem}; {remedy}", where=self.where, problem=self.problem, remedy=self.remedy
        )


class TopologyError(UsageError, ValueError):
    """A topology that can't be planned. Its text has one line for each mistake."""

    def __init__(self, mistake: Mistake, *others: Mistake) -> None:
        self.mistakes = (mistake, *others)
        super().__init__(mistake.text)

    def __str__(self) -> str:
        return self.in_language("en")

    def in_language(self, language: str) -> str:
        return "\n".join(mistake.text.in_language(language) for mistake in self.mistakes)

    @property
    def where(self) -> str:
        """The path to the first mistake: "hosts.web.address"."""
        return self.mistakes[0].where

    @property
    def problem(self) -> Message:
        return self.mistakes[0].problem

    @property
    def remedy(self) -> Message:
        return self.mistakes[0].remedy


def overlapping(path: Path, network: object, other: object, name: str) -> Mistake:
    """Two networks overlap; ``name`` is that of the other one."""
    problem = message("{network} overlaps {other} of {name}", network=network, other=other, name=name)
    return Mistake(path, problem, message("choose another prefix"))


def suggestion(name: str, known: Iterable[str]) -> Message:
    """The remedy for an unknown name: the one that was probably meant, or else all of them."""
    names = [each for each in known if each.isprintable()]
    close = difflib.get_close_matches(name, names, n=1)
    if close:
        return message("did you mean {name!r}?", name=close[0])
    if not names:
        return message("there are none")
    return message("there are: {names}", names=", ".join(names))
