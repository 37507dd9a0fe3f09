"""`lab shell`: a shell on a host."""

from __future__ import annotations

import os
from typing import Annotated

import typer

from lab.cli.errors import errors_in_one_line
from lab.cli.options import HOST, File, Project, lab_name
from lab.control.transport import from_engine
from lab.engine.compose import users_environment
from lab.locale import _


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
