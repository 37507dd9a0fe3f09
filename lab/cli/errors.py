"""Error handling of the commands: one line, and an exit code for each kind of failure."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import typer
from rich.console import Console
from rich.markup import escape

from lab.errors import LabError
from lab.locale import _, from_environment, known
from lab.protocols.printable import printable

stderr = Console(highlight=False, soft_wrap=True, stderr=True)


@contextmanager
def errors_in_one_line(lang: str | None = None) -> Iterator[None]:
    """Prints a LabError in one line and exits with its exit code; with 130 on Ctrl-C.

    ``lang`` is the option --lang; without it, or if it isn't a known language, the environment decides.
    """
    language = known(lang or "") or from_environment()
    try:
        yield
    except LabError as error:
        print_error(error.in_language(language))
        raise typer.Exit(error.exit_code) from error
    except KeyboardInterrupt:
        print_error(_("interrupted", language))
        raise typer.Exit(130) from None


def print_error(text: str) -> None:
    """Prints an error on standard error, as all commands do."""
    lines = "\n".join(printable(line) for line in text.splitlines())
    stderr.print(f"[bold red]lab:[/] {escape(lines)}")
