"""A lesson in the terminal: why it is so and what to change, after a run or without one (`lab explain`)."""

from __future__ import annotations

from rich.console import Console
from rich.markup import escape
from rich.syntax import Syntax
from rich.text import Text

from lab.scenarios.catalog import Scenario
from lab.scenarios.lessons import Lesson, changes, lesson

DIFF_STYLES = {"-": "red", "+": "green"}

WORDS = {
    "en": {
        "broken": "broken",
        "fixed": "fixed",
        "why": "Why",
        "change": "What to change",
        "programs": "The programs",
        "play": "Play it",
        "colon": ": ",
    },
    "zh-CN": {
        "broken": "错误写法",
        "fixed": "正确写法",
        "why": "原因",
        "change": "怎样改",
        "programs": "程序",
        "play": "运行",
        "colon": "：",
    },
}


def explain(console: Console, scenario: Scenario, language: str) -> None:
    """All that there is to read about a scenario; nothing is played."""
    words, told = WORDS[language], lesson(scenario, language)
    console.print(f"[bold]{escape(scenario.name)}[/]  {escape(told.title)}\n")
    _lesson(console, told)
    for variant in told.outcomes:
        console.print(outcome_line(told, variant, language))
    if told.outcomes:
        console.print()
    if scenario.programs:
        _heading(console, words["programs"])
    for name, program in scenario.programs.items():
        console.print(Text(name, "bold"))
        console.print(Syntax(program, "python", theme="ansi_dark", background_color="default"))
        console.print()
    what_to_change(console, scenario, language)
    _heading(console, words["play"])
    console.print(f"  lab run {scenario.name}", highlight=False)
    for variant in told.outcomes:
        console.print(f"  lab run {scenario.name} --variant {variant}", highlight=False)


def why(console: Console, scenario: Scenario, language: str) -> None:
    """The lesson, after what was played."""
    _heading(console, WORDS[language]["why"])
    _lesson(console, lesson(scenario, language))


def what_to_change(console: Console, scenario: Scenario, language: str) -> None:
    """How the fixed program differs from the broken one; nothing where both aren't in the file."""
    lines = changes(scenario)
    if not lines:
        return
    _heading(console, WORDS[language]["change"])
    for line in lines:
        console.print(Text(f"  {line}", DIFF_STYLES.get(line[:1], "dim")))
    console.print()


def outcome_line(told: Lesson, variant: str, language: str) -> Text:
    """``broken: The second answer is …``"""
    words = WORDS[language]
    return Text.assemble((words[variant], "bold"), words["colon"], told.outcomes[variant])


def _heading(console: Console, text: str) -> None:
    console.print(Text(text, "bold underline"))


def _lesson(console: Console, told: Lesson) -> None:
    for line in told.text.splitlines():
        console.print(Text(f"  {line}" if line else ""))
    console.print()
