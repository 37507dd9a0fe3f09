"""`lab topology`: the plan of a lab as a table, a Compose file, a picture or JSON."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.markup import escape
from rich.measure import Measurement
from rich.table import Table

from lab.cli.errors import errors_in_one_line
from lab.cli.options import AsJson, File, Project, described_lab
from lab.cli.output.json_text import print_json
from lab.errors import EnvironmentFailure, UsageError
from lab.locale import _, from_environment, message
from lab.topology.drawing.boxes import UP, forwards, title, workload
from lab.topology.node import Node, without_length

if TYPE_CHECKING:
    from lab.engine.client import Engine
    from lab.engine.lifecycle.project import LabProject
    from lab.topology.plan import Plan

States = Mapping[str, str]  # by the name of the node

stdout = Console(highlight=False, soft_wrap=True)
stderr = Console(highlight=False, soft_wrap=True, stderr=True)


def topology(
    file: File = None,
    project: Project = None,
    compose: Annotated[bool, typer.Option("--compose", help=_("Print the Compose file."))] = False,
    mermaid: Annotated[bool, typer.Option("--mermaid", help=_("Print a Mermaid flowchart."))] = False,
    svg: Annotated[bool, typer.Option("--svg", help=_("Print a picture as SVG."))] = False,
    as_json: AsJson = False,
) -> None:
    from lab.topology import picture  # not at the top: completion imports this module

    with errors_in_one_line():
        if compose + mermaid + svg + as_json > 1:
            raise UsageError(message("choose one of --compose, --mermaid, --svg and --json"))
        lab = described_lab(project, file=file)
        plan, states = _plan_and_states(lab)
        if plan.compose and not compose:
            with suppress(EnvironmentFailure):  # there is no Compose
                lab.compose_file_text(plan)
        if compose:
            _print_compose(lab, plan)
        elif mermaid:
            print(picture.mermaid(plan, states), end="")
        elif svg:
            print(picture.svg(plan, states), end="")
        elif as_json:
            print_json(_as_json(lab.project, plan, states))
        else:
            _print_plan(lab.project, plan, states)


def _plan_and_states(lab: LabProject) -> tuple[Plan, States]:
    """The plan of the lab and the state of each node. If the lab isn't up, the plan is that of a start now.

    Without an engine, free prefixes are chosen as if no other network existed.
    """
    from lab.engine.client import Engine

    try:
        with Engine() as engine:
            states = _states(engine, lab.project)
            taken = [] if states else [subnet for subnet, _ in engine.subnets()]
        return (lab.attached() if states else lab).plan(taken, lab.project), states
    except EnvironmentFailure:
        return lab.plan(), {}


def _states(engine: Engine, project: str) -> States:
    """The state of each node. If a host is up but its container isn't, it is that of the container."""
    from lab.engine.workloads.model import WorkloadState

    states = engine.states(project)
    for host, container in engine.workloads(project).items():
        state = WorkloadState.from_inspect(container.attrs["State"])
        shown = state.status if state.status != "running" else state.health
        if states.get(host) in UP and shown not in ("", *UP):
            states[host] = f"container {shown}"  # not translated, as the other states
    return states


def _print_compose(lab: LabProject, plan: Plan) -> None:
    file = lab.compose_file_text(plan)
    print(file.text, end="")
    for left_out in file.left_out:
        stderr.print(left_out.in_language(from_environment()), markup=False)


def _as_json(project: str, plan: Plan, states: States) -> dict[str, object]:
    """The plan for programs: nodes as in topology.json, with their state if the lab is up."""
    return {
        "project": project,
        "mgmt": str(plan.mgmt),
        "segments": [
            {"name": segment.name, "networks": [str(network) for network in segment.networks()]}
            | ({"mtu": segment.mtu} if segment.mtu else {})
            for segment in plan.segments
        ],
        "nodes": [
            node.to_json() | ({"state": states[node.name]} if node.name in states else {})
            for node in plan.nodes
        ],
    }


def _print_plan(project: str, plan: Plan, states: States) -> None:
    up = _("up") if states else _("not up")
    stdout.print(f"[bold]{escape(project)}[/] · {up} · mgmt {plan.mgmt}\n")
    segments = {
        _("segment"): [segment.name for segment in plan.segments],
        "IPv4": [str(segment.prefix) for segment in plan.segments],
        "IPv6": [str(segment.prefix6 or "–") for segment in plan.segments],
        "MTU": [str(segment.mtu or "") for segment in plan.segments],
    }
    _print_table(_without_empty(segments))
    stdout.print()
    _print_table(_without_empty(_columns(plan, states)))


def _columns(plan: Plan, states: States) -> dict[str, list[str]]:
    """The cells of the table of nodes, by the heading of their column."""

    def cells(text: Callable[[Node], str | Iterable[str]]) -> list[str]:
        return [each if isinstance(each := text(node), str) else "\n".join(each) for node in plan.nodes]

    return {
        _("node"): cells(title),
        _("state"): cells(lambda node: _state(states.get(node.name, ""))),
        _("segment"): cells(lambda node: node.segments),
        "IPv4": cells(lambda node: node.addresses),
        "IPv6": cells(lambda node: (without_length(each.address6) or "–" for each in node.interfaces)),
        _("routes"): cells(lambda node: _routes(plan, node)),
        _("container"): cells(lambda node: escape(workload(plan, node))),
        _("ready"): cells(lambda node: escape(_ready(node))),
    }


def _state(state: str) -> str:
    return f"[{'green' if state in UP else 'red'}]{state}[/]" if state else ""


def _routes(plan: Plan, node: Node) -> Iterable[str]:
    names = {str(network): each.name for each in plan.segments for network in each.networks()}
    for route in node.routes:
        yield f"{names.get(route.to, route.to)} via {route.via}"
    if node.nat:
        yield message("NAT for {segments}", segments=", ".join(node.nat)).in_language(from_environment())
    yield from forwards(plan, node)


def _ready(node: Node) -> str:
    """The condition as in the description."""
    if node.ready is None:
        return ""
    port = str(node.ready.port or "")
    return " ".join(filter(None, [node.ready.kind, port + node.ready.text]))


def _without_empty(columns: Mapping[str, list[str]]) -> Table:
    shown = {name: cells for name, cells in columns.items() if any(cells)}
    table = Table(*shown, box=None, header_style="bold")
    for row in zip(*shown.values(), strict=True):
        table.add_row(*row)
    return table


def _print_table(table: Table) -> None:
    """Prints a table. Its width is limited only in a terminal."""
    width = Measurement.get(stdout, stdout.options.update(max_width=1000), table).maximum
    console = stdout if stdout.is_terminal else Console(highlight=False, width=width)
    console.print(table)
