"""A command that runs on a host, and helper programs whose output is for the controller alone.

One thread receives the output of a process; any thread may wait for it, with a deadline.
"""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Protocol

import paramiko

from lab.errors import EnvironmentFailure, HostTimeout, LabError

STOP_TIMEOUT = 5.0
KILL_TIMEOUT = 1.0  # seconds until a process that was killed has ended
MAX_ERRORS = 1 << 16  # bytes of a helper's stderr that are kept: the last ones

PID_LINE = re.compile(rb"pid (\d+)\n")
BROKEN = (paramiko.SSHException, OSError, EOFError)  # how paramiko reports a connection that is gone


class Session(Protocol):
    """A command that runs: on a host, over SSH; or in a user's container, through the engine."""

    def pump(self, on_output: Callable[[str, bytes], Any], deadline: float | None) -> bool: ...
    def send(self, data: bytes) -> None: ...
    def close_stdin(self) -> None: ...
    def send_signal(self, name: str) -> None: ...
    def close(self) -> None: ...
    @property
    def exit_code(self) -> int | None: ...
    @property
    def exit_signal(self) -> str | None: ...


class RemoteProcess:
    """A process on a host. A subclass handles its output: ``receive`` and ``exited``."""

    def __init__(self, session: Session, node: str) -> None:
        self.node = node
        self.ended_at: float | None = None  # when its end was seen, as time.time()
        self._session = session
        self._changed = threading.Condition()
        self._ended = False
        self._failure: Exception | None = None  # why its output is no longer received
        self._thread: threading.Thread | None = None

    def receive(self, stream: str, data: bytes) -> None:
        """Handles a piece of output of "stdout" or "stderr". If it raises, the process is killed."""
        raise NotImplementedError

    def exited(self) -> None:
        """Called once, after the last piece of output."""

    @property
    def ended(self) -> bool:
        return self._ended

    def follow(self, deadline: float | None = None) -> bool:
        """Receives output until the process exits (True) or the deadline passes (False).

        ``deadline`` is a time.monotonic() value. Raises any exception of ``receive``.
        """
        try:
            if not self._session.pump(self._receive, deadline):
                return False
        except Exception as error:
            self._failure = error
            self._kill()
            self._end()
            raise
        self._end()
        return True

    def follow_in_background(self) -> None:
        """Follows the process in a separate thread. A failure there is raised in a thread that waits."""
        self._thread = threading.Thread(target=self._follow, daemon=True, name=f"follow {self.node}")
        self._thread.start()

    def send(self, data: str | bytes) -> None:
        """Writes to its standard input; data for a process that has exited is discarded.

        Raises HostTimeout if the process doesn't read.
        """
        try:
            self._session.send(data.encode() if isinstance(data, str) else data)
        except TimeoutError as error:
            raise HostTimeout(f"{self.node}: the program doesn't read its standard input") from error
        except BROKEN:
            pass

    def close_stdin(self) -> None:
        with suppress(*BROKEN):
            self._session.close_stdin()

    def signal(self, name: str) -> None:
        """Sends "TERM", "KILL", … to its process group."""
        with suppress(*BROKEN):
            self._session.send_signal(name)

    def close(self) -> None:
        """Closes the session, and waits for the thread that follows the process."""
        self._session.close()
        if self._thread is not None:
            self._thread.join(STOP_TIMEOUT)

    def _wait_for(self, condition: Callable[[], bool], timeout: float) -> bool:
        """Waits until ``condition()`` is true; it is evaluated again after each piece of output.

        Returns False if the process ends or the timeout passes first.
        """
        with self._changed:
            self._changed.wait_for(lambda: self._ended or condition(), timeout)
            return condition()

    def _wait_for_exit(self, timeout: float) -> bool:
        """Waits until the process has exited; follows it in this thread if no other thread does."""
        if self._thread is None:
            return self._ended or self.follow(time.monotonic() + timeout)
        return self._wait_for(lambda: self._ended, timeout)

    def _follow(self) -> None:
        with suppress(Exception):  # the failure is kept in _failure
            self.follow()

    def _receive(self, stream: str, data: bytes) -> None:
        self.receive(stream, data)
        with self._changed:
            self._changed.notify_all()

    def _kill(self) -> None:
        """Kills the process and discards its remaining output, so that its exit is known."""
        self.signal("KILL")
        with suppress(LabError, *BROKEN):
            self._session.pump(lambda stream, data: None, time.monotonic() + KILL_TIMEOUT)

    def _end(self) -> None:
        try:
            self.exited()
        finally:
            with self._changed:
                self._ended, self.ended_at = True, time.time()
                self._changed.notify_all()


class HelperProcess(RemoteProcess):
    """A helper program of the controller: its output is passed to a callback and isn't in the timeline."""

    def __init__(self, session: Session, node: str, on_output: Callable[[bytes], None]) -> None:
        """``on_output`` is called with each piece of stdout, in a thread of the process.

        If it raises, the process is killed, and the exception is the reason of its end.
        """
        super().__init__(session, node)
        self._on_output = on_output
        self._errors = bytearray()
        self._errors_size = 0
        self._pid: int | None = None

    @property
    def pid(self) -> int | None:
        """Its process id on the node, once known, if it was started by a command of ``with_pid``."""
        return self._pid

    @property
    def exit_code(self) -> int | None:
        """None while it runs, and if a signal ended it."""
        return self._session.exit_code

    @property
    def errors(self) -> str:
        """The last MAX_ERRORS bytes of its stderr."""
        with self._changed:
            return self._errors.decode(errors="backslashreplace")

    @property
    def errors_size(self) -> int:
        """The bytes that it has written to its stderr so far."""
        return self._errors_size

    def errors_from(self, position: int) -> str:
        """Its stderr from this byte on, as far as it is kept."""
        with self._changed:
            kept_from = self._errors_size - len(self._errors)
            return self._errors[max(0, position - kept_from) :].decode(errors="backslashreplace")

    @property
    def last_words(self) -> str:
        """The reason of its end: the failure here, or the last line of its stderr."""
        if self._failure is not None:
            return str(self._failure) or type(self._failure).__name__
        return (self.errors.strip().splitlines() or ["its host went away"])[-1]

    def receive(self, stream: str, data: bytes) -> None:
        if stream == "stdout":
            self._on_output(data)
            return
        with self._changed:
            self._errors += data
            self._errors_size += len(data)
            if self._pid is None and (found := PID_LINE.match(self._errors)):
                self._pid = int(found[1])
                self._errors_size -= found.end()
                del self._errors[: found.end()]
            del self._errors[:-MAX_ERRORS]

    def wait_until(self, condition: Callable[[], bool], what: str, timeout: float) -> None:
        """Waits until ``condition()`` is true. ``what`` names the failure in the error's text.

        Raises HostTimeout, and EnvironmentFailure if the program ends first.
        """
        if self._wait_for(condition, timeout):
            return
        if self._ended:
            raise EnvironmentFailure(f"{self.node}: {what}: {self.last_words}")
        raise HostTimeout(f"{self.node}: {what}: not within {timeout:g} s")

    def wait_for_end(self) -> None:
        """Waits until the program exits, however long that takes. KeyboardInterrupt ends the wait."""
        while not self._wait_for_exit(0.2):
            pass  # one wait without a timeout can't be interrupted on every platform

    def finish(self, timeout: float = STOP_TIMEOUT) -> bool:
        """Waits for the program to exit, and kills it on timeout. Returns False if it was killed."""
        in_time = self._wait_for_exit(timeout)
        if not in_time:
            self.signal("KILL")
            self._wait_for_exit(timeout)
        self.close()
        return in_time


def with_pid(command: str) -> str:
    """The shell command, which first writes the id of its process to stderr, for a HelperProcess.

    The process keeps that id if the command ends with ``exec``.
    """
    return f'echo "pid $$" >&2; {command}'


def deadline(seconds: float) -> Callable[[], float]:
    """A function that returns the seconds left of ``seconds``, counted from now; never below 0."""
    until = time.monotonic() + seconds
    return lambda: max(0.0, until - time.monotonic())
