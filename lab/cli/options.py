"""Options shared by several commands, and the lab that they select."""

from __future__ import annotations

import os
import shlex
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.markup import escape
from rich.status import Status

from lab.cli import completion
from lab.cli.leftovers import remove_leftovers
from lab.engine.compose import Notice, Report, silent
from lab.errors import UsageError
from lab.locale import LANGUAGES, _, from_environment, known, message
from lab.protocols.printable import printable

if TYPE_CHECKING:
    from lab.engine.lifecycle.project import LabProject

HOST = _("A host or the router, by any of its names; `lab status` lists them.")

Node = Annotated[str, typer.Argument(metavar="HOST", help=HOST, autocompletion=completion.hosts)]
On = Annotated[
    str | None,
    typer.Option(
        "--on",
        metavar="host|container",
        help=_("On the host itself, or in your container there."),
        show_default=_("the container if the host has one"),
        autocompletion=completion.fixed("host", "container"),
    ),
]
Project = Annotated[
    str | None,
    typer.Option(
        "--project",
        "-p",
        help=_("The lab's name."),
        show_default=_("that of the description, or socketlab"),
        autocompletion=completion.labs,
    ),
]
File = Annotated[
    str | None,
    typer.Option(
        "--file",
        "-f",
        metavar="FILE",
        help=_("The lab's description, or a shipped topology by its name."),
        show_default=_("lab.toml of the current folder, if there is one"),
        autocompletion=completion.topologies,
    ),
]
Prefix = Annotated[
    list[str] | None,
    typer.Option(
        "--prefix",
        metavar="NETWORK=PREFIX",
        help=_(
            "The prefix of a network: 172.28.66 for 172.28.66.0/24, fd28:66 for fd28:66::/64. Repeatable."
        ),
        show_default=False,
    ),
]
Profile = Annotated[
    str | None,
    typer.Option(
        help=_("windows: a host runs commands in Wine's cmd."),
        show_default=_("none"),
        autocompletion=completion.fixed("windows"),
    ),
]
Inventory = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE",
        help=_("Play on the real machines of this file (docs/machines.md)."),
        show_default=False,
    ),
]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help=_("Report errors only."))]
AsJson = Annotated[bool, typer.Option("--json", help=_("Print JSON, for scripts (docs/commands.md)."))]
Lang = Annotated[
    str | None,
    typer.Option(
        metavar="en|zh",
        help=_("The language of the output."),
        show_default=_("by LANG"),
        autocompletion=completion.fixed("en", "zh"),
    ),
]
Nodes = Annotated[
    str | None,
    typer.Option(
        "--nodes",
        metavar="NAME,…",
        help=_("Show columns for these nodes only."),
        show_default=_("those that take part"),
    ),
]


def names_in(nodes: str | None) -> list[str]:
    """The names in the value of the option --nodes."""
    return [name.strip() for name in (nodes or "").split(",") if name.strip()]


def language_of(lang: str | None) -> str:
    """The language of the option --lang, or else of the environment. Raises UsageError."""
    if lang is None:
        return from_environment()
    language = known(lang)
    if language is None:
        raise UsageError(
            message("no texts in {name!r}; there are: {known}", name=lang, known=", ".join(LANGUAGES))
        )
    return language


def lab_name(project: str | None, file: str | None = None) -> str:
    """The name of the lab that the options select. Starts the removal of leftovers. Raises UsageError."""
    from lab.engine.description import topologies  # not at the top: `lab --help` and completion don't need it

    name = topologies.chosen_name(topologies.find(file), project, os.environ)
    remove_leftovers(besides=name)
    return name


def described_lab(
    project: str | None,
    prefix: Sequence[str] | None = None,
    profile: str | None = None,
    file: str | None = None,
) -> LabProject:
    """The lab that a command uses, and starts if necessary. Raises UsageError."""
    from lab.engine.description import topologies  # not at the top: both take long to import
    from lab.engine.lifecycle.project import LabProject

    return LabProject.of_file(topologies.find(file), project, profile=profile, prefixes=prefix or ())


def options_of(project: str | None, file: str | None) -> str:
    """The options that select the same lab in another command: " -p NAME", or ""."""
    words = [*(("-p", project) if project else ()), *(("-f", file) if file else ())]
    return "".join(f" {shlex.quote(word)}" for word in words)


@contextmanager
def progress(console: Console, text: str, *, quiet: bool) -> Iterator[Report]:
    """Reports progress: in a terminal in one line that changes, otherwise line by line."""
    if quiet:
        yield silent
    elif console.is_terminal:
        with console.status(text) as status:
            yield partial(_update, console, status)
    else:
        yield partial(console.print, markup=False)


def _update(console: Console, status: Status, line: str) -> None:
    if isinstance(line, Notice):
        console.print(printable(line), markup=False)
    elif line.strip():
        status.update(escape(printable(line.strip())))
