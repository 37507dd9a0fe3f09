"""The socket reference: what each family, type and method does, and what was seen of it in a recorded run.

`python -m lab.pages.reference record` plays the scenarios and keeps their records in docs/reference/; `write`
makes the pages of these and of the words in texts.toml.
"""

from __future__ import annotations

import json
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, TypeAlias

import typer
from rich.console import Console

from lab.control import scenarios
from lab.control.errors import LabError, Unsupported, UsageError
from lab.control.lab import ignore
from lab.control.lessons import LANGUAGES
from lab.control.options import Project, new_topology
from lab.control.outside import from_engine
from lab.control.play import play
from lab.control.telling import told_in_one_line

FOLDER = Path(__file__).parents[2] / "docs" / "reference"
TABLES = {"families": "socket-families", "methods": "socket-methods"}  # and the scenarios that fill them

Seen: TypeAlias = Mapping[str, str]  # what was seen, by where: on win10, on kali, in the packets

app = typer.Typer(
    name="python -m lab.pages.reference",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="The pages of docs/reference, from recorded runs of " + " and ".join(TABLES.values()) + ".",
)
stdout = Console(highlight=False, soft_wrap=True)


@app.command()
def record(
    project: Project = None,
    runs: Annotated[Path, typer.Option(help="Where runs leave their folder.")] = Path("runs"),
) -> None:
    """Play the scenarios, and keep their records. Only runs that pass are kept.

    A lab that isn't up is started for it, and taken down afterwards.
    """
    topology = new_topology(project, None, None)
    records = {}
    with told_in_one_line(), topology.running(quiet=True):
        for name in TABLES.values():
            outcome = play(
                scenarios.load(name), lambda observe: from_engine(topology.project, observe), ignore, runs
            )
            if outcome.verdict != "pass":
                raise (Unsupported if outcome.verdict == "unsupported" else LabError)(
                    f"{name} is not recorded: {outcome.reason} (see {outcome.folder})"
                )
            records[name] = outcome.record
            stdout.print(f"{name}: {outcome.seconds:.1f} s")
    _put(FOLDER / "recorded.json", json.dumps(records, ensure_ascii=False, indent=1) + "\n")


@app.command()
def write() -> None:
    """Write the page of every language anew."""
    with told_in_one_line():
        for language in LANGUAGES:
            changed = _put(FOLDER / page_of(language), rendered(language))
            stdout.print(f"{page_of(language)}: {'written' if changed else 'up to date'}")


def _put(path: Path, text: str) -> bool:
    """Writes the file where it isn't the same already; whether it did."""
    if path.exists() and path.read_text(encoding="utf-8") == text:
        return False
    path.write_text(text, encoding="utf-8")
    return True


def page_of(language: str) -> str:
    """The name of the page in that language."""
    return "sockets.md" if language == "en" else f"sockets.{language}.md"


def texts() -> dict[str, Any]:
    """The words of the pages, as they stand in texts.toml."""
    return tomllib.loads((FOLDER / "texts.toml").read_text(encoding="utf-8"))


def recorded() -> dict[str, Any]:
    """The records that are kept, by scenario. Raises UsageError where none are."""
    try:
        kept: dict[str, Any] = json.loads((FOLDER / "recorded.json").read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UsageError("nothing is recorded yet: python -m lab.pages.reference record") from None
    return kept


def rendered(language: str) -> str:
    """The page in that language. Raises UsageError where nothing is recorded, KeyError where a text is
    missing.
    """
    words = texts()
    page = words["page"][language]
    twins = [f"[{title}]({page_of(other)})" for other, title in LANGUAGES.items() if other != language]
    parts = [" · ".join(twins), f"# {page['title']}", page["text"].strip().format(*TABLES.values())]
    for table, scenario in TABLES.items():
        seen = recorded()[scenario][table]
        rows = [(name, text[language], seen[name]) for name, text in words[table].items()]
        parts += [f"## {page[table]}", "\n".join(_table(page, rows))]
    return "\n\n".join(parts) + "\n"


def _table(page: Mapping[str, Any], rows: list[tuple[str, str, Seen]]) -> Iterator[str]:
    yield _row(page["columns"])
    yield _row(["---"] * len(page["columns"]))
    places = {"win10": "win10", "kali": "kali", "packets": page["packets"]}
    for name, does, seen in rows:
        told = [
            page["seen"].format(title, _code(seen[where])) for where, title in places.items() if where in seen
        ]
        yield _row([_code(name), does, "<br>".join(told)])


def _row(cells: list[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _code(text: str) -> str:
    """As code, within a table: there a bar would end the cell, in code too."""
    return f"`{text.replace('|', chr(92) + '|')}`"


if __name__ == "__main__":
    app()
