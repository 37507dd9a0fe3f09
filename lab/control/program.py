"""A program on a host, and its result."""

from __future__ import annotations

import itertools
import json
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from lab.control.process import BROKEN, RemoteProcess, Session
from lab.errors import HostTimeout, LabError
from lab.evidence.event_text import ending
from lab.evidence.events import Observe, Output, ProgramExited, ProgramStarted, Stream
from lab.remote.line_splitter import LineSplitter

RUN_TIMEOUT = 30.0
START_TIMEOUT = 10.0
STOP_TIMEOUT = 10.0
MAX_OUTPUT = 64 << 20  # bytes of one command's output; a command with more is killed

program_numbers = itertools.count(1)


@dataclass
class Result:
    """The result of a command. ``exit_code`` is None if a signal ended it, or if it hasn't exited."""

    command: str
    node: str
    output: bytearray = field(default_factory=bytearray, repr=False)
    errors: bytearray = field(default_factory=bytearray, repr=False)
    exit_code: int | None = None
    signal: str | None = None
    seconds: float = 0.0

    @property
    def stdout(self) -> str:
        return self.output.decode(errors="backslashreplace")

    @property
    def stderr(self) -> str:
        return self.errors.decode(errors="backslashreplace")

    @property
    def lines(self) -> list[str]:
        return self.stdout.splitlines()

    @property
    def messages(self) -> list[dict[str, Any]]:
        """The JSON messages of one of the lab's programs that was run with --json."""
        return [message for line in self.stdout.splitlines() if (message := _message(line))]

    @property
    def ok(self) -> bool:
        return self.exit_code == 0

    @property
    def ending(self) -> str:
        """How it ended, as text."""
        return str(ending(self.exit_code, self.signal))

    def describe(self) -> str:
        """The command, how it ended, and its last lines of output, for an error message."""
        shown = f"{self.node}$ {self.command}: {self.ending}"
        for name, text in (("stdout", self.stdout), ("stderr", self.stderr)):
            for line in text.splitlines()[-20:]:
                shown += f"\n  {name}: {line}"
        return shown


class CommandFailed(LabError):
    """A command or program on a host failed; see ``result``."""

    def __init__(self, result: Result, why: str = "") -> None:
        super().__init__(f"{why}{': ' if why else ''}{result.describe()}")
        self.result = result


class CommandTimeout(HostTimeout):
    """A command was killed on timeout, or a program didn't print the expected line in time."""

    def __init__(self, result: Result, why: str) -> None:
        super().__init__(f"{why}: {result.describe()}")
        self.result = result


class Program(RemoteProcess):
    """A program on a host: while it runs, and afterwards its result. Its output is in the timeline."""

    def __init__(self, session: Session, result: Result, observe: Observe, asked: float) -> None:
        """``asked`` is when it was requested, as time.time(): by now it may have sent its first packets."""
        super().__init__(session, result.node)
        self.result = result
        self.number = next(program_numbers)
        self._observe = observe
        self._started = time.monotonic()
        self._lines: list[str] = []
        self._messages: list[dict[str, Any]] = []
        self._kept = 0
        self._cutters = {
            "stdout": LineSplitter(self._said("stdout")),
            "stderr": LineSplitter(self._said("stderr")),
        }
        self._observe(ProgramStarted(asked, result.node, self.number, result.command))

    @property
    def lines(self) -> list[str]:
        """The lines of stdout so far."""
        with self._changed:
            return self._lines.copy()

    @property
    def messages(self) -> list[dict[str, Any]]:
        """The JSON messages so far, if it was started with --json; their text is in ``lines``."""
        with self._changed:
            return self._messages.copy()

    @property
    def running(self) -> bool:
        return not self.ended

    def wait_for_line(self, text: str, timeout: float = START_TIMEOUT, *, after: int = 0) -> str:
        """Returns the first line of stdout with ``text`` in it, from line number ``after`` (0: the first) on.

        Raises CommandTimeout, and CommandFailed if the program exits without such a line.
        """

        def found() -> str | None:
            return next((line for line in self._lines[after:] if text in line), None)

        self._wait_for(lambda: found() is not None, timeout)
        line = found()
        if line is not None:
            return line
        if not self.ended:
            raise CommandTimeout(self.result, f"didn't print {text!r} within {timeout:g} s")
        raise self._failure or CommandFailed(self.result, f"ended without printing {text!r}")

    def wait_for(self, condition: Callable[[], bool], timeout: float) -> bool:
        """Waits until ``condition()`` is true; it is evaluated again after each piece of output.

        Returns False if the program exits or the timeout passes first.
        """
        return self._wait_for(condition, timeout)

    def wait(self, timeout: float = RUN_TIMEOUT) -> Result:
        """Waits for the program to exit. Raises CommandTimeout; the program then still runs."""
        if not self._wait_for_exit(timeout):
            raise CommandTimeout(self.result, f"still running after {timeout:g} s")
        if self._failure is not None:
            raise self._failure
        return self.result

    def stop(self, timeout: float = STOP_TIMEOUT) -> Result:
        """Terminates the program: SIGTERM, and after ``timeout`` seconds SIGKILL, to its process group."""
        for name in ("TERM", "KILL"):
            if self.ended:
                break
            self.signal(name)
            with suppress(LabError, *BROKEN):  # the host may be gone
                self._wait_for_exit(timeout)
        self.close()
        return self.result

    def receive(self, stream: str, data: bytes) -> None:
        self._kept += len(data)
        if self._kept > MAX_OUTPUT:
            raise CommandFailed(self.result, f"killed, more than {MAX_OUTPUT >> 20} MiB of output")
        (self.result.output if stream == "stdout" else self.result.errors).extend(data)
        self._cutters[stream].feed(data)

    def exited(self) -> None:
        for cutter in self._cutters.values():
            cutter.end()
        result = self.result
        result.signal, result.exit_code = self._session.exit_signal, self._session.exit_code
        result.seconds = time.monotonic() - self._started
        exited = ProgramExited(time.time(), result.node, self.number, result.exit_code, result.signal)
        self._observe(exited)

    def _said(self, stream: Stream) -> Callable[[str], None]:
        def on_line(line: str) -> None:
            message = _message(line) if stream == "stdout" else None
            text = str(message["line"]) if message else line
            if stream == "stdout":
                with self._changed:
                    self._lines.append(text)
                    if message:
                        self._messages.append(message)
            self._observe(Output(time.time(), self.node, self.number, stream, text, message))

        return on_line


def _message(line: str) -> dict[str, Any] | None:
    """The message in a line of one of the lab's programs that was started with --json; else None."""
    if not line.startswith('{"event"'):
        return None
    try:
        message = json.loads(line)
    except ValueError:
        return None
    return message if isinstance(message, dict) and "line" in message else None
