"""`lab trace`: opens what a run left, as a page."""

from __future__ import annotations

import webbrowser
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from lab.errors import LabError, UsageError
from lab.evidence import trace as page
from lab.protocols.printable import printable

stdout = Console(highlight=False, soft_wrap=True)
stderr = Console(highlight=False, soft_wrap=True, stderr=True)


def trace(
    run: Annotated[
        str, typer.Argument(metavar="[RUN]", help="A run's folder, or a scenario: its newest run.")
    ] = "",
    runs: Annotated[Path, typer.Option(help="Where runs left their folders.")] = Path("runs"),
    no_open: Annotated[bool, typer.Option("--no-open", help="Print the page's path only.")] = False,
) -> None:
    """Open the newest run's page: packets, output and socket states of all hosts on one timeline.

    lab trace
    lab trace tcp-hello --no-open
    """
    try:
        path = page_of(find(run, runs))
    except LabError as error:
        stderr.print(f"lab: {printable(str(error))}", style="bold red", markup=False)
        raise typer.Exit(error.exit_code) from error
    opened = not no_open and webbrowser.open(path.as_uri())
    stdout.print(str(path), markup=False)
    if not (no_open or opened):
        stderr.print("No browser could be started here: open this file in one.")


def find(run: str, runs: Path) -> Path:
    """The folder of a run: as given, else a scenario's newest, else the newest of all. Raises UsageError."""
    if run and (Path(run) / "record.json").is_file():
        return Path(run).resolve()
    folders = runs.glob(f"{run or '*'}/*/record.json") if "/" not in run else iter(())
    newest = max(folders, key=lambda path: path.parent.name, default=None)
    if newest is None:
        there = sorted({path.parents[1].name for path in runs.glob("*/*/record.json")})
        of = f" of {run!r}" if run else ""
        hint = f"there are runs of {', '.join(there)}" if there else "`lab run tcp-hello` makes one"
        raise UsageError(f"no run{of} in {runs}; {hint}")
    return newest.parent.resolve()


def page_of(folder: Path) -> Path:
    """The run's page; one that isn't there yet is written. Raises UsageError where that can't be."""
    path = folder / page.NAME
    try:
        return path if path.is_file() else page.write(folder)
    except (OSError, ValueError) as error:
        raise UsageError(f"the page of {folder} can't be written: {error}") from error
