"""A lesson in the terminal, after a run or without one (`lab explain`): the cause, and what to change."""

from __future__ import annotations

from rich.console import Console
from rich.markup import escape
from rich.text import Text

from lab.locale import _, message
from lab.scenarios.catalog import Scenario
from lab.scenarios.lessons import Lesson, changes, lesson

DIFF_STYLES = {"-": "red", "+": "green"}

VARIANTS = {"broken": message("broken"), "fixed": message("fixed")}


def explain(console: Console, scenario: Scenario, language: str) -> None:
    """Prints the lesson, the programs and the changes between them. Nothing is played."""
    from rich.syntax import Syntax  # not at the top: `lab run` imports this module, and Pygments takes long

    told = lesson(scenario, language)
    console.print(f"[bold]{escape(scenario.name)}[/]  {escape(told.title)}\n")
    _lesson(console, told)
    for variant in told.outcomes:
        console.print(outcome_line(told, variant, language))
    if told.outcomes:
        console.print()
    if scenario.programs:
        _heading(console, _("The programs", language))
    for name, program in scenario.programs.items():
        console.print(Text(name, "bold"))
        console.print(Syntax(program, "python", theme="ansi_dark", background_color="default"))
        console.print()
    what_to_change(console, scenario, language)
    _heading(console, _("Play it", language))
    console.print(f"  lab run {scenario.name}", highlight=False)
    for variant in told.outcomes:
        console.print(f"  lab run {scenario.name} --variant {variant}", highlight=False)


def why(console: Console, scenario: Scenario, language: str) -> None:
    """Prints the lesson, after a run."""
    _heading(console, _("Why", language))
    _lesson(console, lesson(scenario, language))


def what_to_change(console: Console, scenario: Scenario, language: str) -> None:
    """Prints the difference between the broken and the fixed program, if the scenario has both."""
    lines = changes(scenario)
    if not lines:
        return
    _heading(console, _("What to change", language))
    for line in lines:
        console.print(Text(f"  {line}", DIFF_STYLES.get(line[:1], "dim")))
    console.print()


def outcome_line(told: Lesson, variant: str, language: str) -> Text:
    """``broken: The second answer is …``"""
    return Text.assemble((variant_name(variant, language), "bold"), _(": ", language), told.outcomes[variant])


def variant_name(variant: str, language: str) -> str:
    """The name of a variant, as a reader sees it."""
    return VARIANTS[variant].in_language(language)


def _heading(console: Console, text: str) -> None:
    console.print(Text(text, "bold underline"))


def _lesson(console: Console, told: Lesson) -> None:
    for line in told.text.splitlines():
        console.print(Text(f"  {line}" if line else ""))
    console.print()
