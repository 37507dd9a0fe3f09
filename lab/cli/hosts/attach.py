"""Connects this process with a command on a host: standard streams, signals, terminal."""

from __future__ import annotations

import os
import select
import signal
import sys
import termios
import threading
import time
import tty
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from queue import SimpleQueue
from types import FrameType
from typing import Any, Protocol

from lab.errors import EnvironmentFailure, HostTimeout
from lab.locale import message
from lab.remote.terminal import Terminal

CHUNK = 1 << 16
STDIN, STDOUT, STDERR = 0, 1, 2
FORWARDED = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT, signal.SIGUSR1, signal.SIGUSR2)
MAX_WAIT = 0.2  # seconds until a signal is noticed, at the latest
KILL_TIMEOUT = 5.0  # seconds until a command that was killed has ended
BROKEN_PIPE = 128 + signal.SIGPIPE  # the exit code of a command whose output is no longer read


class RunningCommand(Protocol):
    """A command on a host or in a container."""

    def pump(self, on_output: Any, deadline: float | None) -> bool: ...
    def feed(self, data: bytes) -> None: ...
    def close_stdin(self) -> None: ...
    def resize(self, columns: int, rows: int) -> None: ...
    def send_signal(self, name: str) -> None: ...
    def close(self) -> None: ...
    @property
    def exit_code(self) -> int | None: ...
    @property
    def exit_signal(self) -> str | None: ...


def local_terminal() -> Terminal | None:
    """The terminal of this process; None unless both standard input and standard output are one."""
    if not (_is_terminal(STDIN) and _is_terminal(STDOUT)):
        return None
    size = os.get_terminal_size(STDOUT)
    return Terminal(os.environ.get("TERM", "xterm"), size.columns, size.lines)


def attach(command: RunningCommand, host: str, terminal: Terminal | None, timeout: float | None) -> int:
    """Passes on input, output and signals until the command exits. Returns its exit code, as a shell does.

    ``timeout`` is in seconds; it kills the command and raises HostTimeout. Raises EnvironmentFailure if the
    connection breaks.
    """
    deadline = None if timeout is None else time.monotonic() + timeout
    with ExitStack() as stack:
        stack.callback(command.close)
        if terminal is not None:
            stack.enter_context(_raw_mode(STDIN))
        stack.enter_context(_signals_forwarded(command, resizes=terminal is not None))
        threading.Thread(target=_pass_input, args=(command,), daemon=True, name="stdin").start()
        try:
            finished = _pump(command, deadline)
        except BrokenPipeError:
            return BROKEN_PIPE
        if not finished:
            command.send_signal("KILL")
            command.pump(_write, time.monotonic() + KILL_TIMEOUT)
            raise HostTimeout(message("{host}: killed after {seconds:g} s", host=host, seconds=timeout))
    return _exit_code(command, host)


def _pump(command: RunningCommand, deadline: float | None) -> bool:
    """Passes the output on until the command has exited (True), or until the deadline (False).

    The main thread runs the signal handlers. The kernel may deliver a signal to another thread, which doesn't
    wake up this one, so no wait takes long.
    """
    while not command.pump(_write, _earlier(deadline, time.monotonic() + MAX_WAIT)):
        if deadline is not None and time.monotonic() >= deadline:
            return False
    return True


def _earlier(deadline: float | None, other: float) -> float:
    return other if deadline is None else min(deadline, other)


def _exit_code(command: RunningCommand, host: str) -> int:
    if command.exit_signal is not None:
        return 128 + _number(command.exit_signal)
    if command.exit_code is None:
        raise EnvironmentFailure(message("{host}: the connection broke", host=host))
    return command.exit_code


def _number(name: str) -> int:
    return int(getattr(signal, f"SIG{name}", 0))


def _is_terminal(descriptor: int) -> bool:
    with suppress(OSError):
        return os.isatty(descriptor)
    return False


def _write(stream: str, data: bytes) -> None:
    descriptor = STDOUT if stream == "stdout" else STDERR
    rest = memoryview(data)
    while rest:
        try:
            rest = rest[os.write(descriptor, rest) :]
        except BlockingIOError:  # shared with a process that made it non-blocking
            select.select([], [descriptor], [])
        except OSError:
            if stream == "stdout":
                raise
            return  # standard error was closed


def _pass_input(command: RunningCommand) -> None:
    """Passes standard input on until it ends, in a thread of its own."""
    with suppress(Exception):  # the command has exited, or the connection broke: pump reports it
        while data := _read():
            command.feed(data)
        command.close_stdin()


def _read() -> bytes:
    """The next piece of standard input; b"" at its end, or if it is closed."""
    while sys.stdin is not None:
        try:
            return os.read(STDIN, CHUNK)
        except BlockingIOError:
            select.select([STDIN], [], [])
        except OSError:
            break
    return b""


@contextmanager
def _raw_mode(descriptor: int) -> Iterator[None]:
    """All keys reach the command on the host, Ctrl-C too."""
    before = termios.tcgetattr(descriptor)
    tty.setraw(descriptor, termios.TCSADRAIN)
    try:
        yield
    finally:
        with suppress(termios.error):  # the terminal is gone
            termios.tcsetattr(descriptor, termios.TCSADRAIN, before)


@contextmanager
def _signals_forwarded(command: RunningCommand, *, resizes: bool) -> Iterator[None]:
    """Sends signals of this process to the command, and the new size of the terminal.

    A thread sends them: a handler may interrupt code that holds the locks of the connection.
    """
    queue: SimpleQueue[int | None] = SimpleQueue()

    def enqueue(number: int, _frame: FrameType | None) -> None:
        queue.put(number)

    def send() -> None:
        while (number := queue.get()) is not None:
            with suppress(Exception):  # the command has exited, or the connection broke: pump reports it
                _send(command, number)

    wanted = [number for number in FORWARDED if signal.getsignal(number) is not signal.SIG_IGN]
    handlers = {number: signal.signal(number, enqueue) for number in wanted}
    if resizes:
        handlers[signal.SIGWINCH] = signal.signal(signal.SIGWINCH, enqueue)
    threading.Thread(target=send, daemon=True, name="signals").start()
    try:
        yield
    finally:
        queue.put(None)
        for number, handler in handlers.items():
            signal.signal(number, handler)


def _send(command: RunningCommand, number: int) -> None:
    if number != signal.SIGWINCH:
        command.send_signal(signal.Signals(number).name.removeprefix("SIG"))
    elif (terminal := local_terminal()) is not None:
        command.resize(terminal.columns, terminal.rows)
