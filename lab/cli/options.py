"""Options that several commands have, and the lab that they name."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated

import typer

from lab.engine.project import Topology
from lab.errors import UsageError
from lab.locale import LANGUAGES, _, from_environment, known, message

Project = Annotated[
    str | None, typer.Option("--project", "-p", help=_("The lab's name."), show_default="socketlab")
]
ServersPrefix = Annotated[str | None, typer.Option(help=_("The servers' /24."), show_default="172.28.66")]
ClientsPrefix = Annotated[str | None, typer.Option(help=_("The clients' /24."), show_default="192.168.40")]
Profile = Annotated[
    str | None, typer.Option(help=_("windows: a host runs commands in Wine's cmd."), show_default=_("none"))
]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help=_("Report errors only."))]
Lang = Annotated[
    str | None,
    typer.Option(metavar="en|zh", help=_("The language of the output."), show_default=_("by LANG")),
]


def language_of(lang: str | None) -> str:
    """The language that the option --lang names, or else the environment. Raises UsageError."""
    if lang is None:
        return from_environment()
    language = known(lang)
    if language is None:
        raise UsageError(
            message("no texts in {name!r}; there are: {known}", name=lang, known=", ".join(LANGUAGES))
        )
    return language


def new_topology(
    project: str | None, servers_prefix: str | None, clients_prefix: str | None, profile: str | None = None
) -> Topology:
    """The lab to bring up. Raises UsageError, EnvironmentFailure.

    A lab that exists stays as it is. A new one with a name of its own gets free prefixes, unless some are
    given.
    """
    topology = Topology.from_environment(project)
    topology = replace(topology, profile=profile or topology.profile)
    if servers_prefix or clients_prefix:
        return replace(
            topology,
            servers_prefix=servers_prefix or topology.servers_prefix,
            clients_prefix=clients_prefix or topology.clients_prefix,
        )
    if there := Topology.of_lab(topology.project):
        return replace(there, profile=topology.profile or there.profile)
    plain = Topology(topology.project, profile=topology.profile)
    if topology == plain and topology.project != Topology.project:
        return Topology.beside(topology.project, topology.profile)
    return topology
