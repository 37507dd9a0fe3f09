"""`lab`: starts and stops the lab, inspects it, plays scenarios, opens a shell on a host."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, NoReturn

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from lab.cli.commands import App
from lab.cli.errors import errors_in_one_line
from lab.cli.exec import EXEC, execute
from lab.cli.inventory import app as inventory_app
from lab.cli.link import app as link_app
from lab.cli.options import (
    File,
    Prefix,
    Profile,
    Project,
    Quiet,
    described_lab,
    lab_name,
    options_of,
    progress,
)
from lab.cli.scenarios.listing import EXPLAIN, LIST, explain, list_scenarios
from lab.cli.scenarios.run import RUN, run
from lab.cli.topology import TOPOLOGY, topology
from lab.cli.trace import TRACE, trace
from lab.control.collection.live_capture import Live, file_for
from lab.control.transport import from_engine
from lab.engine import topologies
from lab.engine.client import Engine
from lab.engine.compose import users_environment
from lab.engine.docker_transport import described_nodes
from lab.engine.lifecycle.cleanup import take_down
from lab.errors import EnvironmentFailure
from lab.locale import Message, _, from_environment, message, messages, translate_libraries
from lab.topology.drawing.boxes import UP, title

app = App(
    name="lab",
    help=_("A lab of hosts with a router between them, for programs that communicate over sockets."),
    epilog=_(
        "Exit codes: 0 everything passed · 1 a check failed · 2 usage error · 3 a problem of this machine, or"
        " unsupported · 4 timeout · 130 Ctrl-C"
    ),
)

app.add_typer(link_app, name="link")
app.add_typer(inventory_app, name="inventory")

HOST = _("A host or the router, by any of its names; `lab status` lists them.")

stdout = Console(highlight=False, soft_wrap=True)
stderr = Console(highlight=False, soft_wrap=True, stderr=True)


@app.command(
    help=_(
        "Bring the lab up and wait until every host accepts logins.\n\n"
        "A file [bold]lab.toml[/] in the current folder describes the lab (docs/topologies.md); without it"
        " this is the default lab. If it is already up, nodes that were added or changed are started. Another"
        " [bold]--project[/] is another lab beside this one; it gets free prefixes unless they are given."
        " With [bold]--profile windows[/] a host runs commands in Wine's cmd (docs/profiles.md)."
    )
)
def up(
    project: Project = None,
    file: File = None,
    prefix: Prefix = None,
    profile: Profile = None,
    quiet: Quiet = False,
) -> None:
    with errors_in_one_line():
        with progress(stderr, _("starting the lab"), quiet=quiet) as report:
            started = described_lab(project, prefix, profile, file).up(report=report)
            with from_engine(started.project) as lab:
                lab.connect()
        if not quiet:
            if started.is_default:
                text = _(
                    "The lab is up. Next: [bold]lab shell{option}[/] or [bold]lab run{option} tcp-hello[/]"
                )
            else:
                text = _("The lab is up. Next: [bold]lab status{option}[/] or [bold]lab shell{option}[/]")
            stdout.print(text.format(option=options_of(project, file)))


@app.command(
    help=_(
        "Stop the lab and remove everything that it created: containers, networks, keys."
        " Nothing else is touched."
    )
)
def down(project: Project = None, file: File = None, quiet: Quiet = False) -> None:
    with errors_in_one_line():
        with progress(stderr, _("stopping the lab"), quiet=quiet) as report:
            removed = take_down(lab_name(project, file), report)
        if not quiet:
            stdout.print(_removed(removed).in_language(from_environment()))


@app.command(
    help=_("Show the state and the addresses of each node. Exits with code 3 unless all nodes are up.")
)
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


@app.command(
    help=_(
        "Show the packets of a host as they pass, or write them for Wireshark. Ctrl-C ends the capture.\n\n"
        "lab capture HOST tcp port 8001\n"
        "lab capture router --segment SEGMENT -w - | wireshark -k -i -"
    )
)
def capture(
    host: Annotated[str, typer.Argument(help=HOST)],
    expression: Annotated[
        list[str] | None,
        typer.Argument(metavar="[FILTER]...", help=_("A filter as for tcpdump: tcp port 8001")),
    ] = None,
    file: Annotated[
        Path | None,
        typer.Option("--write", "-w", metavar="FILE", help=_("Write pcapng; - is standard output.")),
    ] = None,
    count: Annotated[int, typer.Option("--count", "-c", help=_("Stop after this many packets."), min=0)] = 0,
    segment: Annotated[
        str,
        typer.Option(
            help=_("The segment to capture on, if the node is on several."), show_default=_("its first")
        ),
    ] = "",
    project: Project = None,
    description: File = None,
) -> None:
    with errors_in_one_line(), from_engine(lab_name(project, description)) as lab:
        live = Live(lab[host], segment=segment, expression=" ".join(expression or []), count=count)
        try:
            if file is None:
                live.as_text(sys.stdout)
            else:
                with file_for(file) as out:
                    live.into(out)
        except KeyboardInterrupt:
            pass  # the usual end of a capture
        stderr.print(_captured(live.count, file).in_language(from_environment()), markup=False)


@app.command(help=_("Open a shell on a host of the running lab."))
def shell(
    host: Annotated[str, typer.Argument(help=HOST, show_default=_("the first host"))] = "",
    project: Project = None,
    file: File = None,
) -> None:
    with errors_in_one_line():
        name = lab_name(project, file)
        with from_engine(name) as lab:
            first = next(each.name for each in lab.hosts if each.node.role == "host")
            service = lab[host].name if host else first
        language = f"LANGUAGE={os.environ.get('LANGUAGE', '')}"  # for the help of the programs there
        argv = ["docker", "compose", "-p", name, "exec", "--env", language, service, "bash", "-l"]
        os.execvpe(argv[0], argv, users_environment())


app.command("exec", help=EXEC, context_settings={"allow_interspersed_args": False})(execute)
app.command("list", help=LIST)(list_scenarios)
app.command(help=RUN)(run)
app.command(help=EXPLAIN)(explain)
app.command(help=TOPOLOGY)(topology)
app.command(help=TRACE)(trace)


def _removed(count: int) -> Message:
    if not count:
        return message("There was no lab.")
    return messages(
        "Removed {count} container, network or volume.",
        "Removed {count} containers, networks and volumes.",
        count=count,
    )


def _captured(count: int, file: Path | None) -> Message:
    if file is None:
        return messages("{count} packet", "{count} packets", count=count)
    return messages("{count} packet in {file}", "{count} packets in {file}", count=count, file=file)


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


def main() -> NoReturn:
    """The entry point."""
    translate_libraries()
    app(prog_name="lab")
    sys.exit(0)


if __name__ == "__main__":
    main()
