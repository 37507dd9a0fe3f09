"""A helper program on a host whose output is the controller's own, and no part of the timeline."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from contextlib import suppress

import paramiko

from lab.control.host import Host
from lab.errors import EnvironmentFailure, HostTimeout

STOP_TIMEOUT = 5.0
MAX_ERRORS = 1 << 16  # bytes kept of what it says on stderr


class Feed:
    """Runs ``command`` on the host, and passes its standard output on as it comes, in a thread."""

    def __init__(self, host: Host, command: str, on_output: Callable[[bytes], None]) -> None:
        """``on_output`` is called in that thread. Raises EnvironmentFailure, HostTimeout."""
        self.host = host
        self._on_output = on_output
        self._news = threading.Condition()
        self._errors = bytearray()
        self._failure: Exception | None = None
        self._ended = False
        self.ended_at: float | None = None  # on our clock
        self._session = host.connect().execute(command)
        self._thread = threading.Thread(target=self._follow, daemon=True)
        self._thread.start()

    @property
    def errors(self) -> str:
        """What it said on stderr."""
        with self._news:
            return self._errors.decode(errors="backslashreplace")

    @property
    def ended(self) -> bool:
        return self._ended

    @property
    def last_words(self) -> str:
        """Why it ended: what broke here, or the last that it said."""
        if self._failure is not None:
            return str(self._failure) or type(self._failure).__name__
        return (self.errors.strip().splitlines() or ["its host went away"])[-1]

    def wait_until(self, true: Callable[[], bool], what: str, timeout: float) -> None:
        """Waits until ``true()``, which is asked again whenever the program said something.

        Raises HostTimeout, and EnvironmentFailure where the program ends before.
        """
        with self._news:
            done = self._news.wait_for(lambda: self._ended or true(), timeout)
            if true():
                return
        if done:
            raise EnvironmentFailure(f"{self.host.title}: {what}: {self.last_words}")
        raise HostTimeout(f"{self.host.title}: {what}: not within {timeout:g} s")

    def wait_for_end(self) -> None:
        """Waits as long as it runs. A KeyboardInterrupt comes through at once."""
        while self._thread.is_alive():
            self._thread.join(0.2)  # a join without end can't be interrupted everywhere

    def send(self, data: bytes) -> None:
        """Writes to its standard input. A program that is gone gets nothing."""
        with suppress(paramiko.SSHException, OSError, EOFError):
            self._session.send(data)

    def signal(self, name: str) -> None:
        with suppress(paramiko.SSHException, OSError, EOFError):
            self._session.send_signal(name)

    def close_stdin(self) -> None:
        with suppress(paramiko.SSHException, OSError, EOFError):
            self._session.close_stdin()

    def finish(self, timeout: float = STOP_TIMEOUT) -> bool:
        """Waits for its end, and kills it where that doesn't come. True where it ended by itself."""
        self._thread.join(timeout)
        in_time = not self._thread.is_alive()
        if not in_time:
            self.signal("KILL")
            self._thread.join(timeout)
        self._session.close()
        return in_time

    def _follow(self) -> None:
        try:
            self._session.pump(self._keep, None)
        except Exception as error:  # told to whoever waits
            self._failure = error
            self.signal("KILL")
        with self._news:
            self._ended, self.ended_at = True, time.time()
            self._news.notify_all()

    def _keep(self, stream: str, data: bytes) -> None:
        if stream == "stdout":
            self._on_output(data)
        with self._news:
            if stream == "stderr":
                self._errors += data
                del self._errors[:-MAX_ERRORS]
            self._news.notify_all()


def deadline(seconds: float) -> Callable[[], float]:
    """How many seconds are left of ``seconds``, from now on; never below 0."""
    until = time.monotonic() + seconds
    return lambda: max(0.0, until - time.monotonic())
