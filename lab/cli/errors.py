"""How commands tell what keeps the lab from working: in one line, with an exit code that means something."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import typer
from rich.console import Console
from rich.markup import escape

from lab.errors import LabError
from lab.protocols.printable import printable

stderr = Console(highlight=False, soft_wrap=True, stderr=True)


@contextmanager
def errors_in_one_line() -> Iterator[None]:
    """Turns what keeps the lab from working into one line and its exit code."""
    try:
        yield
    except LabError as error:
        stderr.print(f"[bold red]lab:[/] {_escaped(error)}")
        raise typer.Exit(error.exit_code) from error
    except KeyboardInterrupt:
        stderr.print("[bold red]lab:[/] interrupted")
        raise typer.Exit(130) from None


def _escaped(error: LabError) -> str:
    return escape("\n".join(printable(line) for line in str(error).splitlines()))
