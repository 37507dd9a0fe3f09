"""`lab up` and `lab down`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.console import Console

from lab.cli.errors import errors_in_one_line
from lab.cli.leftovers import remove_leftovers
from lab.cli.options import (
    AsJson,
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
from lab.cli.output.json_text import print_json
from lab.locale import Message, _, from_environment, message, messages

if TYPE_CHECKING:
    from lab.engine.lifecycle.project import LabProject

stdout = Console(highlight=False, soft_wrap=True)
stderr = Console(highlight=False, soft_wrap=True, stderr=True)


def up(
    project: Project = None,
    file: File = None,
    prefix: Prefix = None,
    profile: Profile = None,
    quiet: Quiet = False,
    as_json: AsJson = False,
) -> None:
    from lab.cli.labs.logins import Logins  # not at the top: completion imports this module

    with errors_in_one_line():
        with progress(stderr, _("starting the lab"), quiet=quiet) as report:
            lab = described_lab(project, prefix, profile, file)
            remove_leftovers(besides=lab.project)
            with Logins(lab.project) as logins:
                started = lab.up(report=report, observer=logins)
                logins.wait()
        if as_json:
            from lab.cli.labs.status import nodes_as_json
            from lab.engine.client import Engine

            with Engine() as engine:
                print_json(nodes_as_json(engine, started.project))
        elif not quiet:
            stdout.print(_next_commands(started).format(option=options_of(project, file)))


def down(project: Project = None, file: File = None, quiet: Quiet = False) -> None:
    from lab.engine.lifecycle.cleanup import take_down  # not at the top: completion imports this module

    with errors_in_one_line():
        with progress(stderr, _("stopping the lab"), quiet=quiet) as report:
            removed = take_down(lab_name(project, file), report)
        if not quiet:
            stdout.print(_removed(removed).in_language(from_environment()))


def _next_commands(started: LabProject) -> str:
    if started.is_default:
        return _("The lab is up. Next: [bold]lab shell{option}[/] or [bold]lab run{option} tcp-hello[/]")
    return _("The lab is up. Next: [bold]lab status{option}[/] or [bold]lab shell{option}[/]")


def _removed(count: int) -> Message:
    if not count:
        return message("There was no lab.")
    return messages(
        "Removed {count} container, network or volume.",
        "Removed {count} containers, networks and volumes.",
        count=count,
    )
