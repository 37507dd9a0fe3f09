"""Every command that uses the engine removes the leftovers of killed processes on the way."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from lab.locale import Message, from_environment, message

if TYPE_CHECKING:
    from lab.engine.lifecycle.background_removal import BackgroundRemoval
    from lab.engine.lifecycle.leftovers import Leftover

_removals: list[BackgroundRemoval] = []


def remove_leftovers(besides: str = "") -> None:
    """Starts to remove them, except for the lab that the command itself is about."""
    from lab.engine.lifecycle.background_removal import BackgroundRemoval  # only if the engine is used

    if not _removals:
        _removals.append(BackgroundRemoval(besides))


def report_leftovers() -> None:
    """Prints a line on standard error for each lab that was removed."""
    while _removals:
        for lab in _removals.pop().finish():
            print(f"lab: {removed(lab).in_language(from_environment())}", file=sys.stderr)


def removed(lab: Leftover) -> Message:
    """The text for a lab that was removed."""
    if lab.state == "unknown":
        return message("removed {project}", project=lab.project)
    if lab.starting:
        return message(
            "removed {project}: its start was interrupted when process {pid} was killed",
            project=lab.project,
            pid=lab.pid,
        )
    return message(
        "removed {project}: process {pid} was killed before it could do that",
        project=lab.project,
        pid=lab.pid,
    )
