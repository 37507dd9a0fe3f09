"""`lab gc`: removes the labs that killed sessions and commands have left behind."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from lab.cli.errors import errors_in_one_line
from lab.cli.options import AsJson
from lab.cli.output.json_text import print_json
from lab.locale import Message, _, from_environment, message

if TYPE_CHECKING:
    from lab.engine.lifecycle.leftovers import Leftover


def gc(
    everything: Annotated[
        bool,
        typer.Option(
            "--all",
            help=_(
                "Also remove the labs of processes on other machines and in other containers, even if these"
                " processes still run."
            ),
        ),
    ] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help=_("Only list the labs."))] = False,
    as_json: AsJson = False,
) -> None:
    from lab.engine.client import Engine  # not at the top: completion imports this module
    from lab.engine.lifecycle import leftovers

    with errors_in_one_line(), Engine() as engine:
        rows = []
        for lab in leftovers.owned(engine):
            if lab.state == "running":
                continue
            remove = everything or lab.state == "gone"
            if remove and not dry_run:
                leftovers.remove_completely(engine, lab)
            rows.append(_row(lab, removed=remove and not dry_run))
            if not as_json:
                print(_text(lab, remove, dry_run).in_language(from_environment()))
        if as_json:
            print_json(rows)
        elif not rows:
            print(_("There is nothing to remove."))


def _row(lab: Leftover, *, removed: bool) -> dict[str, object]:
    return {
        "name": lab.project,
        "owner": lab.state,
        "pid": lab.pid,
        "starting": lab.starting,
        "resources": len(lab.resources),
        "removed": removed,
    }


def _text(lab: Leftover, remove: bool, dry_run: bool) -> Message:
    if not remove:
        return message(
            "kept {project}: its process {pid} is on another machine, or in another container;"
            " --all removes it",
            project=lab.project,
            pid=lab.pid,
        )
    return message("{project} would be removed", project=lab.project) if dry_run else lab.removal
