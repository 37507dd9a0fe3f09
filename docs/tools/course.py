"""The course: the order of the lessons, from docs/gallery/course.toml."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from docs import tools
from lab.errors import UsageError
from lab.scenarios import catalog

NAME = "course.toml"


@dataclass(frozen=True)
class Text:
    """A title and an introduction."""

    title: str
    text: str


@dataclass(frozen=True)
class Chapter:
    """A group of lessons; ``texts`` by language."""

    scenarios: list[str]
    texts: Mapping[str, Text]


@dataclass(frozen=True)
class Course:
    """``texts`` introduce the course, by language. ``references`` are other pages, by the
    lesson that links to them.
    """

    texts: Mapping[str, Text]
    chapters: list[Chapter]
    references: Mapping[str, str]

    @property
    def order(self) -> list[str]:
        return [name for chapter in self.chapters for name in chapter.scenarios]

    def neighbours(self, name: str) -> tuple[str | None, str | None]:
        """The lesson before and the one after, if any."""
        order = self.order
        here = order.index(name)
        return (order[here - 1] if here else None), (order[here + 1] if here + 1 < len(order) else None)


def load() -> Course:
    """The course. Raises UsageError unless it has every scenario exactly once, and nothing else."""
    try:
        plain = tomllib.loads((tools.GALLERY / NAME).read_text(encoding="utf-8"))
        chapters = [Chapter(part.pop("scenarios"), _texts(part)) for part in plain.pop("part")]
        course = Course(references=plain.pop("references"), chapters=chapters, texts=_texts(plain))
    except (tomllib.TOMLDecodeError, KeyError, TypeError) as error:
        raise UsageError(f"{NAME} is invalid: {type(error).__name__}: {error}") from error
    known = catalog.names()
    problems = {
        "is missing": [name for name in known if name not in course.order],
        "is listed twice": [name for name in known if course.order.count(name) > 1],
        "isn't a scenario": [name for name in course.order if name not in known],
    }
    for problem, found in problems.items():
        if found:
            raise UsageError(f"{NAME}: {', '.join(found)} {problem}")
    return course


def _texts(plain: Mapping[str, Any]) -> dict[str, Text]:
    return {language: Text(**text) for language, text in plain.items()}
