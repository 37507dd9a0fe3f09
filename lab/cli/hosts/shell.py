"""`lab shell`: a shell on a host."""

from __future__ import annotations

import os
from typing import Annotated

import typer

from lab.cli import completion
from lab.cli.errors import errors_in_one_line
from lab.cli.options import HOST, File, Project, lab_name
from lab.engine.compose import users_environment
from lab.locale import _


def shell(
    host: Annotated[
        str,
        typer.Argument(
            metavar="HOST", help=HOST, show_default=_("the first host"), autocompletion=completion.hosts
        ),
    ] = "",
    project: Project = None,
    file: File = None,
) -> None:
    from lab.cli.hosts.target import targets_of  # not at the top: completion imports this module

    with errors_in_one_line():
        name = lab_name(project, file)
        with targets_of(name) as targets:
            service = targets[host or targets.first_host].node.name
        language = f"LANGUAGE={os.environ.get('LANGUAGE', '')}"  # for the help of the programs there
        argv = ["docker", "compose", "-p", name, "exec", "--env", language, service, "bash", "-l"]
        os.execvpe(argv[0], argv, users_environment())
