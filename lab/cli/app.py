"""`lab`: all commands with their help. A command's module is imported when the command runs."""

from __future__ import annotations

import os
import sys
from typing import Annotated, NoReturn

import typer

from lab import __version__
from lab.cli.commands import App
from lab.cli.leftovers import report_leftovers
from lab.locale import _, translate_libraries

app = App(
    name="lab",
    help=_("A lab of hosts with a router between them, for programs that communicate over sockets."),
    epilog=_(
        "Exit codes: 0 everything passed · 1 a check failed · 2 usage error · 3 a problem of this machine, or"
        " unsupported · 4 timeout · 130 Ctrl-C"
    ),
    add_completion=True,
)

app.deferred(
    "up",
    "lab.cli.labs.lifecycle:up",
    help=_(
        "Bring the lab up and wait until every host accepts logins.\n\n"
        "A file [bold]lab.toml[/] in the current folder describes the lab (docs/topologies.md); without it"
        " this is the default lab. If it is already up, nodes that were added or changed are started. Another"
        " [bold]--project[/] is another lab beside this one; it gets free prefixes unless they are given."
        " With [bold]--profile windows[/] a host runs commands in Wine's cmd (docs/profiles.md)."
    ),
    examples=["lab up", "lab up -f star -p second"],
)
app.deferred(
    "down",
    "lab.cli.labs.lifecycle:down",
    help=_(
        "Stop the lab and remove everything that it created: containers, networks, keys."
        " Nothing else is touched."
    ),
    examples=["lab down", "lab down -p second"],
)
app.deferred(
    "reset",
    "lab.cli.labs.reset:reset",
    help=_(
        "Return all nodes to the state in which they came up, and show the differences.\n\n"
        "All processes on them are killed, those of `lab shell` included. A node that can't be reset is"
        " replaced. So is a container of yours, unless its description says [bold]reset = 'keep'[/]."
    ),
    examples=["lab reset", "lab reset --json"],
)
app.deferred(
    "status",
    "lab.cli.labs.status:status",
    help=_("Show the state and the addresses of each node. Exits with code 3 unless all nodes are up."),
    examples=["lab status", "lab status --json"],
)
app.deferred(
    "list",
    "lab.cli.scenarios.listing:list_scenarios",
    help=_("List the scenarios."),
    examples=["lab list --pitfalls"],
)
app.deferred(
    "run",
    "lab.cli.scenarios.run:run",
    help=_(
        "Play scenarios and print their verdicts.\n\n"
        "If the lab isn't up, it is started with the topology and the profile that the scenarios need, and"
        " taken down afterwards unless [bold]--keep[/] is given."
    ),
    examples=[
        "lab run tcp-hello",
        "lab run sticky-packets --variant broken",
        "lab run tcp-hello udp-echo --json",
    ],
)
app.deferred(
    "explain",
    "lab.cli.scenarios.listing:explain",
    help=_("Print a scenario's lesson: what it shows, its programs, and what to change. Nothing is played."),
    examples=["lab explain sticky-packets"],
)
app.deferred(
    "exec",
    "lab.cli.hosts.exec:execute",
    help=_(
        "Run a command on a host, or in your own container there, and exit with its exit code.\n\n"
        "Its input, output, signals and terminal are those of `lab exec`. Options of `lab exec` come before"
        " the host; everything after it belongs to the command."
    ),
    examples=["lab exec client -- ./prog --verbose", "lab exec web nginx -T"],
    context_settings={"allow_interspersed_args": False},
)
app.deferred(
    "shell",
    "lab.cli.hosts.shell:shell",
    help=_("Open a shell on a host of the running lab."),
    examples=["lab shell client"],
)
app.deferred(
    "cp",
    "lab.cli.hosts.copy:copy",
    help=_(
        "Copy a file or a folder to a host, from a host, or between hosts.\n\n"
        "If the host has a container of yours, the path is in that container. A file gets its name only"
        " when it is complete. Permissions are kept."
    ),
    examples=["lab cp ./prog client:", "lab cp web:/var/log/nginx ./logs"],
)
app.deferred(
    "forward",
    "lab.cli.hosts.forward:forward",
    help=_(
        "Forward ports of this machine to services of hosts, until Ctrl-C.\n\n"
        "The service may listen at the host's loopback address or at its other addresses. Only programs of"
        " this machine can connect, unless [bold]--bind[/] names another address."
    ),
    examples=["lab forward web:80", "lab forward 8080:web:80 5432:db:5432"],
)
app.deferred(
    "link",
    "lab.cli.labs.link:app",
    help=_("Impair a link between two segments, and measure the result."),
    examples=["lab link set --delay 20ms --loss 5%", "lab link clear"],
)
app.deferred(
    "capture",
    "lab.cli.hosts.capture:capture",
    help=_("Show the packets of a host as they pass, or write them for Wireshark. Ctrl-C ends the capture."),
    examples=[
        "lab capture client tcp port 8001",
        "lab capture router --segment servers -w - | wireshark -k -i -",
    ],
)
app.deferred(
    "trace",
    "lab.cli.trace:trace",
    help=_("Open a run's page: packets, output and socket states of all hosts on one timeline."),
    examples=["lab trace", "lab trace tcp-hello --no-open", "lab trace tcp-hello --nodes client,server"],
)
app.deferred(
    "topology",
    "lab.cli.labs.topology:topology",
    help=_(
        "Check the description of a lab and show its plan: nodes, addresses, routes.\n\n"
        "The state of each node is shown if the lab is up. docs/topologies.md explains how to describe a lab."
    ),
    examples=["lab topology", "lab topology -f star --svg > star.svg"],
)
app.deferred(
    "init",
    "lab.cli.init:init",
    help=_(
        "Write the files that a project needs to test its programs on a lab: lab.toml, a test, a CI workflow"
        " and a devcontainer. Existing files are kept."
    ),
    examples=["lab init my-project"],
)
app.deferred(
    "gc",
    "lab.cli.labs.gc:gc",
    help=_(
        "Remove the labs that a killed session or command has left behind.\n\n"
        "A pytest session, `lab run` and the start of `lab up` own their lab. If such a process is killed,"
        " the next command that uses the engine removes its lab, and so does this one. The labs of running"
        " processes stay, and those that `lab up` has started."
    ),
    examples=["lab gc --dry-run", "lab gc"],
)
app.deferred(
    "inventory",
    "lab.cli.labs.inventory:app",
    help=_("Real machines in place of the lab's containers (docs/machines.md)."),
    examples=["lab inventory check machines.toml"],
)
app.deferred(
    "doctor",
    "lab.cli.labs.doctor:doctor",
    help=_(
        "Find the problems that keep a lab from running on this machine, and show their remedies.\n\n"
        "Nothing is changed. Exits with code 3 if a lab can't run. With [bold]--deep[/], packets between the"
        " hosts show whether a firewall drops them."
    ),
    examples=["lab doctor", "lab doctor --deep"],
)


def _print_version(wanted: bool) -> None:
    if wanted:
        print(f"lab {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool,
        typer.Option(
            "--version", callback=_print_version, is_eager=True, help=_("Print the version and exit.")
        ),
    ] = False,
) -> None:
    """The options of `lab` itself."""


def main() -> NoReturn:
    """The entry point."""
    translate_libraries()
    if os.environ.get("NO_COLOR"):  # Rich alone would still write bold text and move the cursor
        os.environ.setdefault("TTY_COMPATIBLE", "0")
    from lab.cli.errors import broken_pipe_is_silent, terminate_like_interrupt  # its console reads these

    terminate_like_interrupt()
    try:
        with broken_pipe_is_silent():
            app(prog_name="lab")
    finally:
        report_leftovers()
    sys.exit(0)


if __name__ == "__main__":
    main()
