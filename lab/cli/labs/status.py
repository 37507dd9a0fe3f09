"""`lab status`: the state and the addresses of each node."""

from __future__ import annotations

from collections.abc import Sequence

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from lab.cli.errors import errors_in_one_line
from lab.cli.options import File, Project, lab_name
from lab.engine import topologies
from lab.engine.client import Engine
from lab.engine.docker_transport import described_nodes
from lab.errors import EnvironmentFailure
from lab.locale import Message, _, message
from lab.topology.drawing.boxes import UP, title

stdout = Console(highlight=False, soft_wrap=True)


def status(project: Project = None, file: File = None) -> None:
    with errors_in_one_line(), Engine() as engine:
        name = lab_name(project, file)
        nodes = engine.nodes(name)
        if not nodes:
            is_default = topologies.find(file) == topologies.default() and project is None
            raise EnvironmentFailure(_no_lab(name, engine.projects(), is_default))
        stdout.print(f"{_heading(name, engine.topology_of(name))}\n")
        table = Table(_("node"), _("state"), "IPv4", "IPv6", box=None, header_style="bold")
        states = engine.states(name)
        for node in described_nodes(engine, nodes):
            style = "green" if states[node.name] in UP else "red"
            table.add_row(
                title(node),
                f"[{style}]{states[node.name]}[/]",
                "\n".join(node.addresses),
                "\n".join(node.addresses6),
            )
        stdout.print(table)
        if not all(state in UP for state in states.values()):
            raise typer.Exit(EnvironmentFailure.exit_code)


def _no_lab(project: str, others: Sequence[str], is_default: bool) -> Message:
    if is_default and others:
        return message(
            "no lab.toml here, and the default lab isn't up; there are: {others} (-p NAME)",
            others=", ".join(others),
        )
    if not others:
        return message("no lab {project!r} is up; `lab up` starts one", project=project)
    return message("no lab {project!r} is up; there are: {others}", project=project, others=", ".join(others))


def _heading(project: str, topology: str) -> str:
    word = _("topology")
    suffix = f" · {word} {topology}" if topology and topology != project else ""
    return f"[bold]{escape(project)}[/]{escape(suffix)}"
