"""The order of the lessons: docs/gallery/course.toml."""

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
    """A title and what it is about."""

    title: str
    text: str


@dataclass(frozen=True)
class Chapter:
    """Some lessons in a row; ``texts`` by language."""

    scenarios: list[str]
    texts: Mapping[str, Text]


@dataclass(frozen=True)
class Course:
    """``texts`` introduce it, by language. ``references`` are pages outside of it that lessons lead to."""

    texts: Mapping[str, Text]
    chapters: list[Chapter]
    references: Mapping[str, str]

    @property
    def order(self) -> list[str]:
        return [name for chapter in self.chapters for name in chapter.scenarios]

    def neighbours(self, name: str) -> tuple[str | None, str | None]:
        """The lesson before and the one after."""
        order = self.order
        here = order.index(name)
        return (order[here - 1] if here else None), (order[here + 1] if here + 1 < len(order) else None)


def load() -> Course:
    """The course. Raises UsageError where it has a scenario not at all, twice, or without there being one."""
    try:
        plain = tomllib.loads((tools.GALLERY / NAME).read_text(encoding="utf-8"))
        chapters = [Chapter(part.pop("scenarios"), _texts(part)) for part in plain.pop("part")]
        course = Course(references=plain.pop("references"), chapters=chapters, texts=_texts(plain))
    except (tomllib.TOMLDecodeError, KeyError, TypeError) as error:
        raise UsageError(f"{NAME} is no course: {type(error).__name__}: {error}") from error
    known = catalog.names()
    wrong = {
        "has no place": [name for name in known if name not in course.order],
        "has two places": [name for name in known if course.order.count(name) > 1],
        "is no scenario": [name for name in course.order if name not in known],
    }
    for what, found in wrong.items():
        if found:
            raise UsageError(f"{NAME}: {', '.join(found)} {what}")
    return course


def _texts(plain: Mapping[str, Any]) -> dict[str, Text]:
    return {language: Text(**text) for language, text in plain.items()}
