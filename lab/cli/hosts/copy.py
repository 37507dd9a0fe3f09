"""`lab cp`: files and folders to a host, from a host, or between hosts."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, nullcontext, suppress
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console

from lab.cli import completion
from lab.cli.errors import errors_in_one_line
from lab.cli.options import File, On, Project, Quiet, lab_name
from lab.errors import EnvironmentFailure, LabError, UsageError
from lab.locale import _, message

if TYPE_CHECKING:
    from rich.progress import Progress

    from lab.cli.hosts.endpoints import Copier, Endpoint

MAX_ERRORS = 10  # lines of one end that are shown
PATH = _("PATH on this machine, or HOST:PATH. A relative path on a host starts in the home directory.")

stderr = Console(highlight=False, soft_wrap=True, stderr=True)


def copy(
    source: Annotated[str, typer.Argument(metavar="SRC", help=PATH, autocompletion=completion.paths)],
    destination: Annotated[str, typer.Argument(metavar="DST", help=PATH, autocompletion=completion.paths)],
    on: On = None,
    quiet: Quiet = False,
    project: Project = None,
    file: File = None,
) -> None:
    from lab.cli.hosts.endpoints import Endpoint  # not at the top: completion imports this module
    from lab.cli.hosts.target import place_of, targets_of

    with errors_in_one_line():
        ends = Endpoint.parse(source), Endpoint.parse(destination)
        if not any(end.host for end in ends):
            raise UsageError(message("one of the two paths must be HOST:PATH, such as client:/tmp/file"))
        place = place_of(on)
        with ExitStack() as stack:
            targets = stack.enter_context(targets_of(lab_name(project, file)))
            sender = stack.enter_context(ends[0].copier("send", targets, place))
            receiver = stack.enter_context(ends[1].copier("receive", targets, place))
            show = stack.enter_context(_progress(quiet))
            _transfer(_End(ends[0], sender, show.total), _End(ends[1], receiver), show.advance)


class _End:
    """One end of the transfer, and its errors."""

    def __init__(self, endpoint: Endpoint, copier: Copier, on_total: Callable[[int], Any] = int) -> None:
        self.copier = copier
        self._endpoint = endpoint
        self._on_total = on_total
        self._errors = b""

    def keep(self, data: bytes) -> None:
        """Keeps a piece of its standard error. A sender's first line there is the size."""
        self._errors += data
        if self._errors.startswith(b'{"total"') and b"\n" in self._errors:
            line, _newline, self._errors = self._errors.partition(b"\n")
            self._on_total(int(json.loads(line)["total"]))

    def failure(self) -> LabError | None:
        """Its error, if it failed. A path that doesn't exist is a wrong request."""
        code = self.copier.exit_code
        if code == 0:
            return None
        lines = self._errors.decode(errors="backslashreplace").splitlines()[:MAX_ERRORS]
        prefix = f"{self._endpoint.host}:" if self._endpoint.host else ""
        text = "\n".join(prefix + line for line in lines)
        if not text:
            return EnvironmentFailure(message("{path}: the connection broke", path=self._endpoint.text))
        return UsageError(text) if code == 2 else EnvironmentFailure(text)


def _transfer(source: _End, destination: _End, advance: Callable[[int], Any]) -> None:
    """Passes the stream on until both ends have exited. Raises UsageError, EnvironmentFailure."""

    def pass_on(stream: str, data: bytes) -> None:
        if stream == "stderr":
            source.keep(data)
            return
        destination.copier.feed(data)
        advance(len(data))

    def follow() -> None:
        with suppress(OSError, LabError):  # its exit code isn't known then
            destination.copier.pump(lambda _stream, data: destination.keep(data), None)

    follower = threading.Thread(target=follow, daemon=True, name="receiver")
    follower.start()
    refused = False
    try:
        source.copier.pump(pass_on, None)
    except OSError:
        refused = True  # the receiver has exited, and says why
    with suppress(OSError):
        destination.copier.close_stdin()
    follower.join()
    sent = None if refused else source.failure()
    if failure := sent or destination.failure():
        raise failure


class _Bar:
    """The progress in a terminal; it appears when the transfer takes a while."""

    def __init__(self, progress: Progress | None) -> None:
        self._progress = progress
        self._task = None if progress is None else progress.add_task("", total=None)

    def total(self, count: int) -> None:
        if self._progress is not None and self._task is not None:
            self._progress.update(self._task, total=count)

    def advance(self, count: int) -> None:
        if self._progress is not None and self._task is not None:
            self._progress.advance(self._task, count)


@contextmanager
def _progress(quiet: bool) -> Iterator[_Bar]:
    from rich.progress import BarColumn, DownloadColumn, Progress, TimeRemainingColumn, TransferSpeedColumn

    columns = (BarColumn(), DownloadColumn(), TransferSpeedColumn(), TimeRemainingColumn())
    shown = stderr.is_terminal and not quiet
    progress = Progress(*columns, console=stderr, transient=True) if shown else None
    with progress or nullcontext():
        yield _Bar(progress)
