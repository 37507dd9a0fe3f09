"""`lab up` and `lab down`."""

from __future__ import annotations

from rich.console import Console

from lab.cli.errors import errors_in_one_line
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
from lab.control.transport import from_engine
from lab.engine.lifecycle.cleanup import take_down
from lab.locale import Message, _, from_environment, message, messages

stdout = Console(highlight=False, soft_wrap=True)
stderr = Console(highlight=False, soft_wrap=True, stderr=True)


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


def down(project: Project = None, file: File = None, quiet: Quiet = False) -> None:
    with errors_in_one_line():
        with progress(stderr, _("stopping the lab"), quiet=quiet) as report:
            removed = take_down(lab_name(project, file), report)
        if not quiet:
            stdout.print(_removed(removed).in_language(from_environment()))


def _removed(count: int) -> Message:
    if not count:
        return message("There was no lab.")
    return messages(
        "Removed {count} container, network or volume.",
        "Removed {count} containers, networks and volumes.",
        count=count,
    )
