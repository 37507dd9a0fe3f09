"""Shell commands, each a process in a session of its own that is killed with everything it started.

How everything is found: the process group takes one call, but a grandchild may leave it (``setsid``) and
even lose its parent (a daemon). So the server makes itself a "child subreaper" (prctl(2)): a process that
loses its parent becomes the server's child and not init's. And each command has a mark of its own in its
environment, which what it starts inherits: an adopted process with that mark belongs to that command.

Covered: the group, all descendants, and daemons. What cleared its environment *and* lost its parent can't
be told from other commands' processes: it dies when a command ends while no other runs, or with the server.
Needs Linux 5.4 (pidfd_open) and /proc/PID/task/TID/children; without the latter only the group is killed.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import secrets
import select
import signal
import threading
import time
from collections.abc import Callable, Iterable

from lab.programs.command.interpreter import Interpreter, UnixShell

_PR_SET_CHILD_SUBREAPER = 36
_MARK = b"LAB_COMMAND_MARK"
_MOST_AT_ONCE = 10_000  # processes that are listed before they are killed
_KILL_TIME = 2.0  # seconds that killed processes get to disappear


class Shell:
    """Starts commands in an interpreter and adopts what they leave behind.

    For a process that has no other children: it collects all that it adopted.
    """

    def __init__(self, interpreter: Interpreter = UnixShell("/bin/sh")) -> None:  # noqa: B008  (frozen)
        self._interpreter = interpreter
        self._environment = dict(os.environb)
        self._running: dict[int, Running] = {}
        self._lock = threading.Lock()  # whoever lists children and collects them is alone
        ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)

    def start(self, command: bytes) -> Running:
        """Runs ``command`` with /dev/null as its input.

        Raises OSError where no process can be had, RemoteProtocolError where the interpreter can't take it.
        """
        mark = secrets.token_hex(16).encode()
        argv, variables = self._interpreter.call(command)
        with self._lock:
            running = Running(self, argv, mark, self._environment | variables | {_MARK: mark})
            self._running[running.pid] = running
        return running

    def close(self) -> None:
        """Kills whatever is left of any command."""
        for running in list(self._running.values()):
            running.kill()
        with self._lock:
            self._kill_adopted(lambda _: True)

    def _kill_leftovers(self, mark: bytes) -> None:
        """Kills what was adopted from the command with that ``mark``."""
        with self._lock:
            alone = len(self._running) == 1  # then all that was adopted is this command's, or a leftover
            self._kill_adopted(lambda pid: alone or _has_mark(pid, mark))

    def _forget(self, pid: int) -> int:
        """Collects the ended shell ``pid``; its status as os.waitstatus_to_exitcode has it."""
        with self._lock:
            _, status = os.waitpid(pid, 0)
            del self._running[pid]
        return os.waitstatus_to_exitcode(status)

    def _kill_adopted(self, chosen: Callable[[int], bool]) -> None:
        until = time.monotonic() + _KILL_TIME
        while time.monotonic() < until:
            victims = [pid for pid in self._adopted() if chosen(pid)]
            if not kill(with_descendants(victims), until):
                return

    def _adopted(self) -> list[int]:
        """Children that aren't shells of ours and live; those that ended are collected on the way."""
        # The kernel gives orphans to the first thread, and shells are children of the thread that
        # started them: so this one list is short.
        main = os.getpid()
        return [p for p in _children(main, main) if p not in self._running and not _collect(p)]


class Running:
    """A command that runs. ``stdout`` and ``stderr`` are non-blocking pipes; ``pidfd`` is readable when its
    shell has ended.
    """

    def __init__(self, shell: Shell, argv: list[bytes], mark: bytes, environment: dict[bytes, bytes]) -> None:
        self._shell = shell
        self._mark = mark
        with contextlib.ExitStack() as ours, contextlib.ExitStack() as theirs:
            self.stdout, out = _pipe(ours, theirs)
            self.stderr, err = _pipe(ours, theirs)
            self.pid = os.posix_spawn(
                argv[0],
                argv,
                environment,
                file_actions=[
                    (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
                    (os.POSIX_SPAWN_DUP2, out, 1),
                    (os.POSIX_SPAWN_DUP2, err, 2),
                ],
                setsid=True,
                setsigmask=(),
                setsigdef=(signal.SIGPIPE, signal.SIGXFSZ, signal.SIGINT),  # Python ignores the first two
            )
            try:
                self.pidfd = os.pidfd_open(self.pid)
            except OSError:  # no more descriptors
                os.killpg(self.pid, signal.SIGKILL)
                os.waitpid(self.pid, 0)
                raise
            ours.callback(os.close, self.pidfd)
            self._descriptors = ours.pop_all()

    def interrupt(self) -> None:
        """As Ctrl-C on a terminal does: SIGINT to the whole group."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.pid, signal.SIGINT)

    def kill(self) -> None:
        """Kills the command with its children and grandchildren, and waits until they are gone."""
        descendants = with_descendants([self.pid])
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.pid, signal.SIGKILL)
        kill(descendants, time.monotonic() + _KILL_TIME)
        self._shell._kill_leftovers(self._mark)

    def finish(self) -> int:
        """Kills what is left, also of a command that ended, and returns its status. Call it once."""
        self.kill()
        status = self._shell._forget(self.pid)
        self._descriptors.close()
        return status


def _pipe(ours: contextlib.ExitStack, theirs: contextlib.ExitStack) -> tuple[int, int]:
    """A pipe whose ends are closed with their owner's stack; our end doesn't block."""
    reader, writer = os.pipe2(os.O_CLOEXEC)
    ours.callback(os.close, reader)
    theirs.callback(os.close, writer)
    os.set_blocking(reader, False)
    return reader, writer


def with_descendants(pids: Iterable[int]) -> list[int]:
    """``pids``, their children, and so on."""
    found = list(pids)
    for pid in found:  # grows while it is walked; a fork bomb must not keep us walking
        if len(found) > _MOST_AT_ONCE:
            break
        with contextlib.suppress(OSError):
            for task in os.listdir(f"/proc/{pid}/task"):
                found += _children(pid, int(task))
    return found


def kill(pids: Iterable[int], until: float) -> int:
    """Kills ``pids`` and waits for their end, up to the moment ``until`` of time.monotonic().

    Returns how many it could kill: not those that had ended, nor those of another user (sudo).
    """
    dying = []
    for pid in pids:
        with contextlib.suppress(OSError):
            descriptor = os.pidfd_open(pid)
            try:
                signal.pidfd_send_signal(descriptor, signal.SIGKILL)
                dying.append(descriptor)
            except OSError:
                os.close(descriptor)
    for descriptor in dying:
        poll = select.poll()
        poll.register(descriptor, select.POLLIN)
        poll.poll(max(0.0, until - time.monotonic()) * 1000)
        os.close(descriptor)
    return len(dying)


def _children(pid: int, task: int) -> list[int]:
    try:
        with open(f"/proc/{pid}/task/{task}/children", "rb") as file:
            return [int(child) for child in file.read().split()]
    except OSError:
        return []


def _has_mark(pid: int, mark: bytes) -> bool:
    try:
        with open(f"/proc/{pid}/environ", "rb") as file:
            return _MARK + b"=" + mark in file.read().split(b"\0")
    except OSError:
        return False


def _collect(pid: int) -> bool:
    """True where the adopted child ``pid`` has ended; it is gone then."""
    try:
        return os.waitpid(pid, os.WNOHANG)[0] == pid
    except ChildProcessError:
        return True
