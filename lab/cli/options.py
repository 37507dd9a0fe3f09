"""Options shared by several commands, and the lab that they select."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from lab.engine.project import PROJECT, LabProject
from lab.errors import UsageError
from lab.locale import LANGUAGES, _, from_environment, known, message

Project = Annotated[
    str | None, typer.Option("--project", "-p", help=_("The lab's name."), show_default=PROJECT)
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
    str | None, typer.Option(help=_("windows: a host runs commands in Wine's cmd."), show_default=_("none"))
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
Lang = Annotated[
    str | None,
    typer.Option(metavar="en|zh", help=_("The language of the output."), show_default=_("by LANG")),
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


def new_topology(
    project: str | None, prefix: Sequence[str] | None = None, profile: str | None = None
) -> LabProject:
    """The lab to bring up. Raises UsageError, EnvironmentFailure.

    An existing lab stays as it is. A new one gets free prefixes, unless it has the default name or
    prefixes are given.
    """
    wanted = LabProject.from_environment(project, profile)
    if prefix:
        return wanted.with_prefixes(prefix)
    if there := LabProject.of_lab(wanted.project):
        return replace(there, profile=wanted.profile or there.profile)
    plain = LabProject(wanted.project, profile=wanted.profile)
    if wanted == plain and wanted.project != PROJECT:
        return LabProject.beside(wanted.project, wanted.profile)
    return wanted
