"""`lab exec`: a command on a host, or in the user's container there."""

from __future__ import annotations

import os
import shlex
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from lab.cli.errors import errors_in_one_line
from lab.cli.options import File, Node, On, Project, lab_name
from lab.errors import UsageError
from lab.locale import _, message

if TYPE_CHECKING:
    from lab.cli.hosts.target import Target
    from lab.engine.workloads.workload import EngineWorkload
    from lab.remote.terminal import Terminal


def execute(
    host: Node,
    command: Annotated[
        list[str], typer.Argument(metavar="COMMAND", help=_("The command with its arguments."))
    ],
    on: On = None,
    environment: Annotated[
        list[str] | None,
        typer.Option(
            "--env",
            "-e",
            metavar="NAME[=VALUE]",
            help=_("Set an environment variable; without a value, it is copied from this shell. Repeatable."),
            show_default=False,
        ),
    ] = None,
    directory: Annotated[
        str | None,
        typer.Option(
            "--workdir",
            "-w",
            metavar="FOLDER",
            help=_("The working directory."),
            show_default=_("the home directory, or that of the image"),
        ),
    ] = None,
    timeout: Annotated[
        float | None,
        typer.Option(
            metavar="SECONDS",
            min=0,
            help=_("Kill the command after this time and exit with code 4."),
            show_default=_("no limit"),
        ),
    ] = None,
    no_tty: Annotated[
        bool,
        typer.Option("--no-tty", "-T", help=_("Don't allocate a terminal for the command.")),
    ] = False,
    project: Project = None,
    file: File = None,
) -> None:
    from lab.cli.hosts.attach import local_terminal  # not at the top: completion imports this module
    from lab.cli.hosts.target import place_of, targets_of

    with errors_in_one_line():
        argv = command[1:] if command[0] == "--" else command
        if not argv:
            raise UsageError(message("no command given: `lab exec {host} -- COMMAND`", host=host))
        variables = dict(_variable(text) for text in environment or ())
        terminal = None if no_tty else local_terminal()
        with targets_of(lab_name(project, file)) as targets:
            target = targets[host]
            container = target.container(place_of(on))
            if container is None:
                line = _line(argv, variables, directory)
                code = _on_host(target, line, terminal, timeout)
            else:
                code = _in_container(target, container, argv, variables, directory, terminal, timeout)
    raise typer.Exit(code)


def _on_host(target: Target, line: str, terminal: Terminal | None, timeout: float | None) -> int:
    from lab.cli.hosts.attach import attach

    connection = target.dial()
    try:
        return attach(connection.execute(line, terminal=terminal), target.node.title, terminal, timeout)
    finally:
        connection.close()


def _in_container(
    target: Target,
    container: EngineWorkload,
    argv: Sequence[str],
    variables: Mapping[str, str],
    directory: str | None,
    terminal: Terminal | None,
    timeout: float | None,
) -> int:
    from lab.cli.hosts.attach import attach
    from lab.engine.workloads.guard import guarded

    session = container.execute(argv, environment=variables, directory=directory, terminal=terminal)
    with guarded(container, session):
        return attach(session, target.node.title, terminal, timeout)


def _line(argv: Sequence[str], variables: Mapping[str, str], directory: str | None) -> str:
    """The command for the user's shell on the host. It is killed if the SSH connection ends."""
    change = "" if directory is None else f"cd -- {shlex.quote(directory)} && "
    settings = [f"{name}={value}" for name, value in variables.items()]
    environment = ["env", *settings] if settings else []
    return change + shlex.join(["exec", "setpriv", "--pdeathsig", "KILL", "--", *environment, *argv])


def _variable(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not name or "\0" in text:
        raise UsageError(message("{text!r} isn't NAME=VALUE", text=text))
    return name, value if equals else os.environ.get(name, "")
