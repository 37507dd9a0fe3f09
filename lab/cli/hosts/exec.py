"""`lab exec`: a command in the user's container on a host."""

from __future__ import annotations

import os
import sys
from typing import Annotated

import typer

from lab.cli.errors import errors_in_one_line
from lab.cli.options import File, Project, lab_name
from lab.control.transport import from_engine
from lab.engine.compose import users_environment
from lab.errors import UsageError
from lab.locale import _, message


def execute(
    host: Annotated[str, typer.Argument(help=_("The host, by any of its names."))],
    command: Annotated[list[str], typer.Argument(help=_("The command with its arguments."))],
    project: Project = None,
    file: File = None,
) -> None:
    with errors_in_one_line():
        name = lab_name(project, file)
        with from_engine(name) as lab:
            if not lab[host].node.workload:
                raise UsageError(
                    message("{host} has no container of yours: use `lab shell {host}`", host=host)
                )
            service = lab[host].require_workload().name
        terminal = [] if sys.stdin.isatty() and sys.stdout.isatty() else ["-T"]
        argv = ["docker", "compose", "-p", name, "exec", *terminal, service, *command]
        os.execvpe(argv[0], argv, users_environment())
