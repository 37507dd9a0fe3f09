"""Options that several commands have, and the lab that they name."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated

import typer

from lab.cli.errors import errors_in_one_line
from lab.engine.project import Topology

Project = Annotated[
    str | None, typer.Option("--project", "-p", help="The lab's name.", show_default="socketlab")
]
ServersPrefix = Annotated[str | None, typer.Option(help="The servers' /24.", show_default="172.28.66")]
ClientsPrefix = Annotated[str | None, typer.Option(help="The clients' /24.", show_default="192.168.40")]
Profile = Annotated[
    str | None, typer.Option(help="windows: the server has Wine's command line.", show_default="none")
]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Say only what went wrong.")]


def topology_of(project: str | None) -> Topology:
    """The lab of that name, or of the environment."""
    with errors_in_one_line():
        return Topology.from_environment(project)


def new_topology(
    project: str | None, servers_prefix: str | None, clients_prefix: str | None, profile: str | None = None
) -> Topology:
    """The lab to bring up: one that is there as it is, and a new one that has a name of its own, and no
    prefixes, with free ones.
    """
    with errors_in_one_line():
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
