"""A program on a host: under way, and then what it did."""

from __future__ import annotations

import itertools
import json
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import paramiko

from lab.errors import HostTimeout, LabError
from lab.evidence.event_text import ending
from lab.evidence.events import Lines, Observe, Output, ProgramExited, ProgramStarted, Stream
from lab.remote.ssh import Session

RUN_TIMEOUT = 30.0
START_TIMEOUT = 10.0
STOP_TIMEOUT = 10.0
MAX_OUTPUT = 64 << 20  # bytes kept of one command's output; past it the command is killed

_program_numbers = itertools.count(1)


@dataclass
class Result:
    """What a command did. ``exit_code`` is None where a signal ended it, or where it hasn't ended."""

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
        """What a program of ours said in JSON, where it was run with --json."""
        return [message for line in self.stdout.splitlines() if (message := _message(line))]

    @property
    def ok(self) -> bool:
        return self.exit_code == 0

    @property
    def ending(self) -> str:
        """How it ended, in words."""
        return ending(self.exit_code, self.signal)

    def describe(self) -> str:
        """The command, its end, and the last of its output: what a failure shows."""
        shown = f"{self.node}$ {self.command}: {self.ending}"
        for name, text in (("stdout", self.stdout), ("stderr", self.stderr)):
            for line in text.splitlines()[-20:]:
                shown += f"\n  {name}: {line}"
        return shown


class CommandFailed(LabError):
    """A command or program on a host ended in another way than it should; ``result`` is all of it."""

    def __init__(self, result: Result, why: str = "") -> None:
        super().__init__(f"{why}{': ' if why else ''}{result.describe()}")
        self.result = result


class CommandTimeout(HostTimeout):
    """A command was killed at its deadline, or a program didn't say what was waited for."""

    def __init__(self, result: Result, why: str) -> None:
        super().__init__(f"{why}: {result.describe()}")
        self.result = result


class Program:
    """A program under way on a host, and then what it did."""

    def __init__(self, session: Session, result: Result, observe: Observe, asked: float) -> None:
        """``asked`` is when it was asked for, as time.time(): by now it may have sent its first packets."""
        self.result = result
        self.number = next(_program_numbers)
        self._session = session
        self._observe = observe
        self._started = time.monotonic()
        self._news = threading.Condition()
        self._lines: list[str] = []
        self._messages: list[dict[str, Any]] = []
        self._ended = False
        self._kept = 0
        self._cutters = {"stdout": Lines(self._said("stdout")), "stderr": Lines(self._said("stderr"))}
        self._observe(ProgramStarted(asked, result.node, self.number, result.command))

    @property
    def lines(self) -> list[str]:
        """The lines of stdout so far."""
        with self._news:
            return self._lines.copy()

    @property
    def messages(self) -> list[dict[str, Any]]:
        """What it said so far in JSON, where it was started with --json; their text is in ``lines``."""
        with self._news:
            return self._messages.copy()

    @property
    def running(self) -> bool:
        return not self._ended

    def follow(self, deadline: float | None = None) -> bool:
        """Passes output on until the program ended (True) or the deadline passed (False)."""
        done = False
        try:
            done = self._session.pump(self._keep, deadline)
        finally:
            if done:
                self._end()
        return done

    def follow_in_background(self) -> threading.Thread:
        """Follows it in a thread. What goes wrong is in the result; who waits for the program reports it."""

        def run() -> None:
            with suppress(CommandFailed, paramiko.SSHException, OSError, EOFError):
                self.follow()

        thread = threading.Thread(target=run, daemon=True, name=f"follow {self.result.command[:30]}")
        thread.start()
        return thread

    def wait_for_line(self, text: str, timeout: float = START_TIMEOUT, *, after: int = 0) -> str:
        """The first line of stdout with ``text`` in it, from line number ``after`` (0: the first) on.

        Raises CommandTimeout, or CommandFailed where the program ends without having said it.
        """

        def found() -> str | None:
            return next((line for line in self._lines[after:] if text in line), None)

        with self._news:
            self._news.wait_for(lambda: found() is not None or self._ended, timeout)
            line = found()
        if line is not None:
            return line
        if self._ended:
            raise CommandFailed(self.result, f"ended without saying {text!r}")
        raise CommandTimeout(self.result, f"didn't say {text!r} within {timeout:g} s")

    def wait(self, timeout: float = RUN_TIMEOUT) -> Result:
        """Waits for its end. Raises CommandTimeout; the program then still runs."""
        with self._news:
            if not self._news.wait_for(lambda: self._ended, timeout):
                raise CommandTimeout(self.result, f"still running after {timeout:g} s")
        return self.result

    def send(self, data: str | bytes) -> None:
        """Writes to its standard input."""
        self._session.send(data.encode() if isinstance(data, str) else data)

    def close_stdin(self) -> None:
        self._session.close_stdin()

    def signal(self, name: str) -> None:
        """Sends "TERM", "KILL", … to its process group."""
        self._session.send_signal(name)

    def stop(self, timeout: float = STOP_TIMEOUT) -> Result:
        """Asks it to end (SIGTERM), and kills its process group where it doesn't. Returns what it did."""
        for name in ("TERM", "KILL"):
            if self._ended:
                break
            with suppress(paramiko.SSHException, OSError, EOFError):  # the host may be gone
                self.signal(name)
            with suppress(CommandTimeout):
                self.wait(timeout)
        self.close()
        return self.result

    def close(self) -> None:
        """Gives up its session; a program that ended has no use for it any more."""
        self._session.close()

    def _keep(self, stream: str, data: bytes) -> None:
        self._kept += len(data)
        if self._kept > MAX_OUTPUT:
            self.signal("KILL")
            raise CommandFailed(self.result, f"killed, more than {MAX_OUTPUT >> 20} MiB of output")
        (self.result.output if stream == "stdout" else self.result.errors).extend(data)
        self._cutters[stream].feed(data)

    def _said(self, stream: Stream) -> Callable[[str], None]:
        def on_line(line: str) -> None:
            message = _message(line) if stream == "stdout" else None
            text = str(message["line"]) if message else line
            if stream == "stdout":
                with self._news:
                    self._lines.append(text)
                    if message:
                        self._messages.append(message)
                    self._news.notify_all()
            node = self.result.node
            self._observe(Output(time.time(), node, self.number, stream, text, message))

        return on_line

    def _end(self) -> None:
        for cutter in self._cutters.values():
            cutter.end()
        result = self.result
        result.signal, result.exit_code = self._session.exit_signal, self._session.exit_code
        result.seconds = time.monotonic() - self._started
        exited = ProgramExited(time.time(), result.node, self.number, result.exit_code, result.signal)
        self._observe(exited)
        with self._news:
            self._ended = True
            self._news.notify_all()


def _message(line: str) -> dict[str, Any] | None:
    """A line of a program of ours that was started with --json; None for any other."""
    if not line.startswith('{"event"'):
        return None
    try:
        message = json.loads(line)
    except ValueError:
        return None
    return message if isinstance(message, dict) and "line" in message else None
