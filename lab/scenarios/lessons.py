"""The lesson of a scenario, in the reader's language.

The English lesson is in the scenario's file: the docstrings of the module and of its checks. A translation is
a separate file, scenarios/LANGUAGE/NAME.md, with a heading, the text and a section for each variant.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping
from dataclasses import dataclass

from lab.scenarios import catalog
from lab.scenarios.catalog import Scenario

CONTEXT = 2  # lines around a change


@dataclass(frozen=True)
class Lesson:
    """The text of a lesson. ``outcomes`` describes the result of each variant of a pitfall."""

    title: str
    text: str
    outcomes: Mapping[str, str]


def lesson(scenario: Scenario, language: str) -> Lesson:
    """The scenario's lesson in ``language``; in English if it isn't translated."""
    translated = _translation(scenario.name, language)
    if translated is None:
        return Lesson(scenario.title, scenario.lesson, scenario.outcomes)
    outcomes = {name: translated.outcomes.get(name, english) for name, english in scenario.outcomes.items()}
    return Lesson(translated.title, translated.text, outcomes)


def changes(scenario: Scenario) -> list[str]:
    """The lines of a diff from each broken program to the corresponding fixed one.

    BROKEN is compared with FIXED, BROKEN_X with FIXED_X. The lines --- and +++ name the two programs; a
    line @@ separates two places in one program.
    """
    lines = []
    for broken, program in scenario.programs.items():
        fixed = broken.replace("BROKEN", "FIXED", 1)
        if broken.startswith("BROKEN") and fixed in scenario.programs:
            texts = program.splitlines(), scenario.programs[fixed].splitlines()
            found = list(difflib.unified_diff(*texts, broken, fixed, n=CONTEXT, lineterm=""))
            lines += [*found[:2], *("@@" if line.startswith("@@") else line for line in found[3:])]
    return lines


def title(name: str, language: str) -> str:
    """The title of the lesson, without loading the scenario. Raises UsageError."""
    translated = _translation(name, language)
    return catalog.title(name) if translated is None else translated.title


def _translation(name: str, language: str) -> Lesson | None:
    """The lesson in scenarios/LANGUAGE/; None if there is none, as is the case for English."""
    try:
        whole = (catalog.FOLDER / language / f"{name.replace('-', '_')}.md").read_text(encoding="utf-8")
    except FileNotFoundError:
        return None
    head, *sections = re.split(r"^## (\w+)\n", whole, flags=re.MULTILINE)
    title, _, text = head.removeprefix("# ").partition("\n")
    outcomes = {heading: body.strip() for heading, body in zip(sections[::2], sections[1::2], strict=True)}
    return Lesson(title.strip(), text.strip(), outcomes)
