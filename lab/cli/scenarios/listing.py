"""`lab list` and `lab explain`: find a scenario and read its lesson."""

from __future__ import annotations

from typing import Annotated, Any

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from lab.cli import completion
from lab.cli.errors import errors_in_one_line
from lab.cli.options import AsJson, Lang, language_of
from lab.cli.output.json_text import print_json
from lab.locale import _
from lab.protocols.printable import printable
from lab.scenarios import catalog, lessons
from lab.scenarios.catalog import Scenario

NAMES = _("`lab list` shows them.")

stdout = Console(highlight=False, soft_wrap=True)


def list_scenarios(
    lang: Lang = None,
    pitfalls: Annotated[bool, typer.Option("--pitfalls", help=_("Only pitfalls: broken and fixed."))] = False,
    as_json: AsJson = False,
) -> None:
    with errors_in_one_line(lang):
        language = language_of(lang)
        names = [scenario.name for scenario in all_pitfalls()] if pitfalls else catalog.names()
        if as_json:
            print_json([_as_json(name, language) for name in names])
            return
        columns = (_("scenario", language), _("what it shows", language))
        table = Table(*columns, box=None, header_style="bold")
        for name in names:
            title = escape(printable(lessons.title(name, language)))
            table.add_row(f"[bold]{name}[/]", f"{title}[dim]{escape(_needed(name, language))}[/]")
        stdout.print(table)


def _as_json(name: str, language: str) -> dict[str, str]:
    return {"name": name, "title": lessons.title(name, language), "topology": catalog.topology(name)}


def _lesson_as_json(scenario: Scenario, language: str) -> dict[str, Any]:
    told = lessons.lesson(scenario, language)
    return {
        "name": scenario.name,
        "title": told.title,
        "lesson": told.text,
        "outcomes": dict(told.outcomes),
        "programs": dict(scenario.programs),
        "topology": scenario.topology,
    }


def _needed(name: str, language: str) -> str:
    """The topology that a scenario names, to be shown behind its title."""
    topology = printable(catalog.topology(name))
    word = _("topology", language)
    return f" · {word} {topology}" if topology else ""


def explain(
    names: Annotated[
        list[str], typer.Argument(metavar="SCENARIO", help=NAMES, autocompletion=completion.scenarios)
    ],
    lang: Lang = None,
    as_json: AsJson = False,
) -> None:
    from lab.cli.output import lesson_text  # not at the top: `lab list` needs no syntax highlighting

    with errors_in_one_line(lang):
        language = language_of(lang)
        scenarios = [catalog.load(name) for name in names]
        if as_json:
            print_json([_lesson_as_json(scenario, language) for scenario in scenarios])
            return
        for scenario in scenarios:
            lesson_text.explain(stdout, scenario, language)


def all_pitfalls() -> list[Scenario]:
    """The scenarios that have variants. Raises UsageError if a scenario can't be loaded."""
    return [scenario for name in catalog.names() if (scenario := catalog.load(name)).outcomes]
