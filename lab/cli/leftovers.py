"""Commands that use the engine remove the labs of killed processes in the background."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from lab.locale import from_environment

if TYPE_CHECKING:
    from lab.engine.lifecycle.background_removal import BackgroundRemoval

_removals: list[BackgroundRemoval] = []


def remove_leftovers(besides: str = "") -> None:
    """Starts to remove them, except for the lab that the command itself uses."""
    from lab.engine.lifecycle.background_removal import BackgroundRemoval  # only if the engine is used

    if not _removals:
        _removals.append(BackgroundRemoval(besides))


def report_leftovers() -> None:
    """Prints a line on standard error for each lab that was removed."""
    while _removals:
        for lab in _removals.pop().finish():
            print(f"lab: {lab.removal.in_language(from_environment())}", file=sys.stderr)
