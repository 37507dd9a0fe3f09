"""A request to stop a server, from a signal handler or another thread."""

from __future__ import annotations

import contextlib
import signal
import socket

GRACE = 10.0  # seconds that clients get to finish after a request to stop


class Stop:
    """A flag that selectors can wait for: once set, it stays readable for any number of waiters.

    A signal makes it readable just before Python's handler runs, so check ``is_set`` when it is readable.
    """

    def __init__(self) -> None:
        self._reader, self._writer = socket.socketpair()
        self._writer.setblocking(False)
        self._set = False
        self._wakes_on_signals = False

    def set(self) -> None:
        """Requests the stop. Further calls have no effect."""
        self._set = True
        with contextlib.suppress(OSError):  # the buffer is full, so it is readable already
            self._writer.send(b"!")

    def wake_on_signals(self) -> None:
        """Makes it readable on every signal that has a Python handler. Call it in the main thread.

        Otherwise a signal that arrives after Python has checked for signals, but before the system call
        blocks, is handled only when that call returns.
        """
        signal.set_wakeup_fd(self._writer.fileno(), warn_on_full_buffer=False)
        self._wakes_on_signals = True

    def is_set(self) -> bool:
        return self._set

    def fileno(self) -> int:
        return self._reader.fileno()

    def close(self) -> None:
        if self._wakes_on_signals:
            signal.set_wakeup_fd(-1)
        self._reader.close()
        self._writer.close()
