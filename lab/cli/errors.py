"""Error handling of the commands: one line, and an exit code for each kind of failure."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import NoReturn

import typer
from rich.console import Console
from rich.markup import escape

from lab.errors import LabError
from lab.locale import _, from_environment, known
from lab.protocols.printable import printable

stderr = Console(highlight=False, soft_wrap=True, stderr=True)

BROKEN_PIPE = 128 + signal.SIGPIPE  # the exit codes that a shell shows for these signals
TERMINATED = 128 + signal.SIGTERM


class Terminated(KeyboardInterrupt):
    """SIGTERM, as of a CI job that is cancelled."""


@contextmanager
def errors_in_one_line(lang: str | None = None) -> Iterator[None]:
    """Prints a LabError in one line and exits with its exit code; with 130 on Ctrl-C, 143 on SIGTERM.

    ``lang`` is the option --lang; without it, or if it isn't a known language, the environment decides.
    """
    language = known(lang or "") or from_environment()
    try:
        yield
    except LabError as error:
        print_error(error.in_language(language))
        raise typer.Exit(error.exit_code) from error
    except KeyboardInterrupt as interrupt:
        print_error(_("interrupted", language))
        raise typer.Exit(TERMINATED if isinstance(interrupt, Terminated) else 130) from None


@contextmanager
def broken_pipe_is_silent() -> Iterator[None]:
    """Exits with 141 and without a message if standard output is no longer read, as with `| head`.

    Click and Rich turn the BrokenPipeError into an exit with 1.
    """
    try:
        try:
            yield
        finally:
            sys.stdout.flush()  # at its own exit, Python would report that the output can't be written
    except (BrokenPipeError, SystemExit) as error:
        if isinstance(error, SystemExit) and not isinstance(error.__context__, BrokenPipeError):
            raise
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise SystemExit(BROKEN_PIPE) from None


def terminate_like_interrupt() -> None:
    """From now on, SIGTERM raises Terminated in the main thread: the clean-up is that of Ctrl-C."""
    if signal.getsignal(signal.SIGTERM) is signal.SIG_DFL:
        signal.signal(signal.SIGTERM, _terminate)


def _terminate(_number: int, _frame: FrameType | None) -> NoReturn:
    raise Terminated


def print_error(text: str) -> None:
    """Prints an error on standard error, as all commands do."""
    lines = "\n".join(printable(line) for line in text.splitlines())
    stderr.print(f"[bold red]lab:[/] {escape(lines)}")
