"""What a scenario teaches, in the reader's language.

English is in the scenario's file: the docstrings of the module and of its checks. Every other language has a
file beside it, scenarios/LANGUAGE/NAME.md: a heading, the text, and a section for each variant.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping
from dataclasses import dataclass

from lab.errors import UsageError
from lab.scenarios import catalog
from lab.scenarios.catalog import Scenario

LANGUAGES = {"en": "English", "zh-CN": "简体中文"}
CONTEXT = 2  # lines around a change


@dataclass(frozen=True)
class Lesson:
    """``outcomes`` says in a line what each variant of a pitfall comes to."""

    title: str
    text: str
    outcomes: Mapping[str, str]


def language(option: str | None, environment: Mapping[str, str]) -> str:
    """The language asked for, by name ("zh", "zh-CN", "zh_CN.UTF-8"), or else by the environment (locale(7)).

    An environment that names another language gets English. Raises UsageError for an unknown option.
    """
    if option is not None:
        found = _known(option)
        if found is None:
            raise UsageError(f"no texts in {option!r}; there are: {', '.join(LANGUAGES)}")
        return found
    locale = next(
        (environment[name] for name in ("LC_ALL", "LC_MESSAGES", "LANG") if environment.get(name)), ""
    )
    return _known(locale) or "en"


def _known(locale: str) -> str | None:
    wanted = re.split("[-_.]", locale)[0].casefold()
    alike = (name for name in LANGUAGES if name.partition("-")[0] == wanted)
    return next(alike, None)


def lesson(scenario: Scenario, language: str) -> Lesson:
    """The scenario's lesson; in English where it isn't written in that language."""
    twin = _twin(scenario.name, language)
    if twin is None:
        return Lesson(scenario.title, scenario.lesson, scenario.outcomes)
    outcomes = {variant: twin.outcomes.get(variant, said) for variant, said in scenario.outcomes.items()}
    return Lesson(twin.title, twin.text, outcomes)


def changes(scenario: Scenario) -> list[str]:
    """What to change: the lines of a diff from each broken program to the fixed one of the same name.

    BROKEN goes with FIXED, BROKEN_X with FIXED_X. Two lines, --- and +++, name the programs of a pair; a line
    @@ stands between two places.
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
    """The title alone; the scenario isn't loaded. Raises UsageError."""
    twin = _twin(name, language)
    return catalog.title(name) if twin is None else twin.title


def _twin(name: str, language: str) -> Lesson | None:
    """What is written beside the scenario; None for English, and where nothing is."""
    try:
        whole = (catalog.FOLDER / language / f"{name.replace('-', '_')}.md").read_text(encoding="utf-8")
    except FileNotFoundError:
        return None
    head, *sections = re.split(r"^## (\w+)\n", whole, flags=re.MULTILINE)
    title, _, text = head.removeprefix("# ").partition("\n")
    outcomes = {heading: body.strip() for heading, body in zip(sections[::2], sections[1::2], strict=True)}
    return Lesson(title.strip(), text.strip(), outcomes)
