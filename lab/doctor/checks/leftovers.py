"""Labs that a killed process has left behind: they hold prefixes, memory and disk space."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from lab.doctor.finding import Finding, notice
from lab.engine.lifecycle.leftovers import Leftover
from lab.locale import message


def check_leftovers(labs: Sequence[Leftover]) -> Iterator[Finding]:
    """A notice if there are labs whose owner is gone."""
    if names := sorted({each.project for each in labs}):
        yield notice(
            "leftovers",
            message("labs left behind by processes that were killed: {names}", names=", ".join(names)),
            message("`lab gc` removes them"),
        )
