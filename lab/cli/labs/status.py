"""`lab status`: the state and the addresses of each node."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from lab.cli.errors import errors_in_one_line
from lab.cli.options import AsJson, File, Project, lab_name
from lab.cli.output.json_text import print_json
from lab.errors import EnvironmentFailure
from lab.locale import Message, _, message

if TYPE_CHECKING:
    from lab.engine.client import Engine

stdout = Console(highlight=False, soft_wrap=True)


def status(project: Project = None, file: File = None, as_json: AsJson = False) -> None:
    from lab.engine.client import Engine
    from lab.engine.description import topologies  # not at the top: completion imports this module
    from lab.topology.drawing.boxes import UP

    with errors_in_one_line(), Engine() as engine:
        name = lab_name(project, file)
        states = engine.states(name)
        if not states:
            is_default = topologies.find(file) == topologies.default() and project is None
            raise EnvironmentFailure(_no_lab(name, engine.projects(), is_default))
        if as_json:
            print_json(nodes_as_json(engine, name))
        else:
            _print(engine, name)
        if not all(state in UP for state in states.values()):
            raise typer.Exit(EnvironmentFailure.exit_code)


def nodes_as_json(engine: Engine, project: str) -> dict[str, Any]:
    """The lab and its nodes with their states, for programs. Raises EnvironmentFailure."""
    from lab.engine.docker_transport import described_nodes

    states = engine.states(project)
    nodes = described_nodes(engine, engine.nodes(project))
    return {
        "project": project,
        "topology": engine.topology_of(project),
        "nodes": [
            {
                "name": node.name,
                "names": list(node.names),
                "role": node.role,
                "state": states[node.name],
                "segments": list(node.segments),
                "addresses": list(node.addresses),
                "addresses6": list(node.addresses6),
            }
            for node in nodes
        ],
    }


def _print(engine: Engine, project: str) -> None:
    from lab.engine.docker_transport import described_nodes
    from lab.topology.drawing.boxes import UP, title

    stdout.print(f"{_heading(project, engine.topology_of(project))}\n")
    table = Table(_("node"), _("state"), "IPv4", "IPv6", box=None, header_style="bold")
    states = engine.states(project)
    for node in described_nodes(engine, engine.nodes(project)):
        style = "green" if states[node.name] in UP else "red"
        table.add_row(
            title(node),
            f"[{style}]{states[node.name]}[/]",
            "\n".join(node.addresses),
            "\n".join(node.addresses6),
        )
    stdout.print(table)


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
