"""`lab trace`: opens the page of a run."""

from __future__ import annotations

import json
import webbrowser
from pathlib import Path
from typing import Annotated
from urllib.parse import quote

import typer
from rich.console import Console

from lab.cli import completion
from lab.cli.errors import errors_in_one_line
from lab.cli.options import Nodes, language_of, names_in
from lab.errors import UsageError
from lab.locale import Message, _, message

stdout = Console(highlight=False, soft_wrap=True)
stderr = Console(highlight=False, soft_wrap=True, stderr=True)


def trace(
    run: Annotated[
        str,
        typer.Argument(
            metavar="RUN",
            help=_("The folder of a run, or a scenario: its newest run."),
            autocompletion=completion.played,
            show_default=_("the newest run"),
        ),
    ] = "",
    runs: Annotated[Path, typer.Option(help=_("The folder that holds the runs."))] = Path("runs"),
    lang: Annotated[
        str | None,
        typer.Option(
            "--lang", metavar="en|zh", help=_("The language of the page."), show_default=_("the browser's")
        ),
    ] = None,
    nodes: Nodes = None,
    no_open: Annotated[bool, typer.Option("--no-open", help=_("Only print the page's path."))] = False,
) -> None:
    from lab.evidence.diagram.lanes import titles_of  # not at the top: completion imports this module

    with errors_in_one_line():
        language = None if lang is None else language_of(lang)
        folder = find(run, runs)
        titles = titles_of(names_in(nodes), names_of_nodes(folder)) if nodes else ()
        path = page_of(folder, language)
    address = path.as_uri() + (f"#nodes={','.join(map(quote, titles))}" if titles else "")
    opened = not no_open and webbrowser.open(address)
    stdout.print(address if titles else str(path), markup=False)
    if not (no_open or opened):
        stderr.print(_("No browser could be started: open this file in one."), markup=False)


def find(run: str, runs: Path) -> Path:
    """The folder of a run: the one given, a scenario's newest, or the newest of all. Raises UsageError."""
    if run and (Path(run) / "record.json").is_file():
        return Path(run).resolve()
    folders = runs.glob(f"{run or '*'}/*/record.json") if "/" not in run else iter(())
    newest = max(folders, key=lambda path: path.parent.name, default=None)
    if newest is None:
        raise UsageError(_not_found(run, runs))
    return newest.parent.resolve()


def names_of_nodes(folder: Path) -> dict[str, list[str]]:
    """The names of each node of a run, by its title. Raises UsageError if the record can't be read."""
    try:
        record = json.loads((folder / "record.json").read_text(encoding="utf-8"))
        return {title: list(node.get("names", ())) for title, node in record["nodes"].items()}
    except (OSError, ValueError, KeyError, AttributeError, TypeError) as error:
        raise UsageError(
            message("the record of {folder} can't be read: {error}", folder=folder, error=error)
        ) from error


def _not_found(run: str, runs: Path) -> Message:
    played = sorted({path.parents[1].name for path in runs.glob("*/*/record.json")})
    if not played:
        return message("no runs in {runs}; `lab run tcp-hello` makes one", runs=runs)
    return message(
        "no run of {run!r} in {runs}; there are runs of {played}",
        run=run,
        runs=runs,
        played=", ".join(played),
    )


def page_of(folder: Path, language: str | None = None) -> Path:
    """The page of the run in ``folder``; it is written if it doesn't exist or is in another language.

    Raises UsageError on failure.
    """
    from lab.evidence import trace as page

    path = folder / page.NAME
    try:
        return path if path.is_file() and language is None else page.write(folder, language=language)
    except (OSError, ValueError) as error:
        raise UsageError(
            message("the page of {folder} can't be written: {error}", folder=folder, error=error)
        ) from error
