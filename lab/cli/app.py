"""`lab`: bring the lab up and down, look at it, play scenarios, shell into hosts."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Annotated, NoReturn

import typer
from rich.console import Console
from rich.table import Table

from lab.cli.errors import errors_in_one_line
from lab.cli.link import app as link_app
from lab.cli.live_capture import Live, file_for
from lab.cli.options import (
    ClientsPrefix,
    Profile,
    Project,
    Quiet,
    ServersPrefix,
    new_topology,
    topology_of,
)
from lab.cli.scenarios import explain, list_scenarios, run
from lab.cli.trace import trace
from lab.control.transport import from_engine
from lab.engine.client import Engine
from lab.errors import EnvironmentFailure

app = typer.Typer(
    name="lab",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    help="Two hosts, a router between them, and programs that talk over sockets.",
    epilog="Exit codes: 0 all passed · 1 a check failed · 2 wrong use · 3 the machine can't, or unsupported"
    " · 4 timeout · 130 Ctrl-C",
)

app.add_typer(link_app, name="link")

stdout = Console(highlight=False, soft_wrap=True)
stderr = Console(highlight=False, soft_wrap=True, stderr=True)


@app.command()
def up(
    project: Project = None,
    servers_prefix: ServersPrefix = None,
    clients_prefix: ClientsPrefix = None,
    profile: Profile = None,
    quiet: Quiet = False,
) -> None:
    """Bring the lab up and wait until every host can be logged in to.

    Bringing up a lab that is up changes nothing. Another [bold]--project[/] is another lab, side by side with
    this one; it gets free prefixes unless they are given. With [bold]--profile windows[/] the server has the
    command line of Wine.
    """
    topology = new_topology(project, servers_prefix, clients_prefix, profile)
    with errors_in_one_line():
        topology.up(quiet=quiet)
        with from_engine(topology.project) as lab:
            lab.connect()
        if not quiet:
            name = "" if project is None else f" -p {topology.project}"
            stdout.print(
                f"The lab is up. Next: [bold]lab shell{name} client[/] or [bold]lab run{name} tcp-hello[/]"
            )


@app.command()
def down(project: Project = None, quiet: Quiet = False) -> None:
    """Stop the lab and remove all that it made: containers, networks, keys. Nothing else is touched."""
    topology = topology_of(project)
    with errors_in_one_line():
        removed = topology.down(quiet=quiet)
        if not quiet:
            stdout.print(
                f"Removed {removed} containers, networks and volumes." if removed else "There was no lab."
            )


@app.command()
def status(project: Project = None) -> None:
    """Show each node: is it up, and where it can be reached. Exit code 3 unless all are."""
    topology = topology_of(project)
    with errors_in_one_line(), Engine() as engine:
        nodes = engine.nodes(topology.project)
        if not nodes:
            others = ", ".join(engine.projects())
            raise EnvironmentFailure(
                f"no lab {topology.project!r} is up"
                + (f"; there are: {others}" if others else "; `lab up` starts one")
            )
        table = Table("node", "state", "IPv4", "IPv6", box=None, header_style="bold")
        states = {node.name: _state(node.attrs["State"]) for node in nodes}
        for node in nodes:
            labels = node.labels
            style = "green" if states[node.name] in ("healthy", "running") else "red"
            table.add_row(
                labels.get("socketlab.names", ""),
                f"[{style}]{states[node.name]}[/]",
                labels.get("socketlab.address", "").replace(" ", "\n"),
                labels.get("socketlab.address6", "").replace(" ", "\n"),
            )
        stdout.print(table)
        if not all(state in ("healthy", "running") for state in states.values()):
            raise typer.Exit(EnvironmentFailure.exit_code)


@app.command()
def capture(
    host: Annotated[str, typer.Argument(help="server, client or router; win10 and kali will do.")],
    expression: Annotated[
        list[str] | None, typer.Argument(metavar="[FILTER]...", help="As tcpdump takes it: tcp port 8001")
    ] = None,
    file: Annotated[
        Path | None, typer.Option("--write", "-w", metavar="FILE", help="Write pcapng; - is standard output.")
    ] = None,
    count: Annotated[int, typer.Option("--count", "-c", help="End after so many packets.", min=0)] = 0,
    segment: Annotated[str, typer.Option(help="Of the router: clients or servers.")] = "",
    project: Project = None,
) -> None:
    """Show the packets of a host as they pass, or write them for Wireshark. Ctrl-C ends it.

    lab capture client tcp port 8001
    lab capture router --segment servers -w - | wireshark -k -i -
    """
    topology = topology_of(project)
    with errors_in_one_line(), from_engine(topology.project) as lab:
        live = Live(lab[host], segment=segment, expression=" ".join(expression or []), count=count)
        try:
            if file is None:
                live.as_text(sys.stdout)
            else:
                with file_for(file) as out:
                    live.into(out)
        except KeyboardInterrupt:
            pass  # it is how a capture ends
        stderr.print(f"{live.count} packets{f' in {file}' if file else ''}")


@app.command()
def shell(
    host: Annotated[str, typer.Argument(help="server, client or router; win10 and kali will do.")] = "client",
    project: Project = None,
) -> None:
    """Open a shell on a host of the running lab."""
    topology = topology_of(project)
    with errors_in_one_line():
        with from_engine(topology.project) as lab:
            service = lab[host].name
        argv = topology.compose("exec", service, "bash", "-l")
        os.execvpe(argv[0], argv, topology.environment())


app.command("list")(list_scenarios)
app.command()(run)
app.command()(explain)
app.command()(trace)


def _state(state: dict[str, object]) -> str:
    health = state.get("Health")
    if state.get("Status") == "running" and isinstance(health, dict):
        return str(health.get("Status"))
    return str(state.get("Status"))


def main() -> NoReturn:
    """The entry point."""
    app(prog_name="lab")
    sys.exit(0)


if __name__ == "__main__":
    main()
