"""Shell commands: each is a process in its own session, and is killed with everything that it has started.

The process group is killed with one call, and descendants outside the group are found in /proc. Descendants
that have lost their parent are left to the supervisor, which adopts them.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import signal
import time

from lab.programs.command.interpreter import Interpreter, UnixShell
from lab.programs.command.process_tree import KILL_TIME, kill, wait_for_end, with_descendants
from lab.programs.command.supervisor import Supervisor


class Shell:
    """Starts commands in an interpreter. Create it before any thread is started."""

    def __init__(self, interpreter: Interpreter = UnixShell("/bin/sh")) -> None:  # noqa: B008  (frozen)
        self._interpreter = interpreter
        self._supervisor = Supervisor()

    def start(self, command: bytes) -> RunningCommand:
        """Runs ``command`` with /dev/null as its input.

        Raises OSError if no process can be started, RemoteProtocolError if the interpreter can't run it.
        """
        argv, variables = self._interpreter.call(command)
        return RunningCommand(self._supervisor, argv, variables)

    def close(self) -> None:
        """Kills all commands with everything that they have started."""
        self._supervisor.close()


class RunningCommand:
    """A running command. ``stdout`` and ``stderr`` are non-blocking pipes; ``pidfd`` becomes readable when
    its shell has ended.
    """

    def __init__(self, supervisor: Supervisor, argv: list[bytes], variables: dict[bytes, bytes]) -> None:
        self._supervisor = supervisor
        self._mark = secrets.token_hex(16).encode()
        with contextlib.ExitStack() as ours, contextlib.ExitStack() as theirs:
            self.stdout, out = _pipe(ours, theirs)
            self.stderr, err = _pipe(ours, theirs)
            self.pid = supervisor.start(argv, variables, self._mark, [out, err])
            try:
                self.pidfd = os.pidfd_open(self.pid)
            except OSError:  # no more descriptors
                os.killpg(self.pid, signal.SIGKILL)
                supervisor.finish(self.pid, self._mark)
                raise
            ours.callback(os.close, self.pidfd)
            self._descriptors = ours.pop_all()

    def interrupt(self) -> None:
        """Sends SIGINT to the whole process group, as Ctrl-C on a terminal does."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.pid, signal.SIGINT)

    def kill(self) -> None:
        """Kills the command with everything that it has started, and waits until all have exited."""
        self._kill_descendants()
        self._supervisor.kill_orphans(self._mark)

    def finish(self) -> int:
        """As kill, also if the shell has ended already. Call it once.

        Returns the shell's status as os.waitstatus_to_exitcode does.
        """
        self._kill_descendants()
        wait_for_end(self.pidfd)
        try:
            return self._supervisor.finish(self.pid, self._mark)
        finally:
            self._descriptors.close()

    def _kill_descendants(self) -> None:
        descendants = with_descendants([self.pid])
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.pid, signal.SIGKILL)
        kill(descendants, time.monotonic() + KILL_TIME)


def _pipe(ours: contextlib.ExitStack, theirs: contextlib.ExitStack) -> tuple[int, int]:
    """A pipe: our end, which doesn't block, and theirs. Each is closed with its stack."""
    reader, writer = os.pipe2(os.O_CLOEXEC)
    ours.callback(os.close, reader)
    theirs.callback(os.close, writer)
    os.set_blocking(reader, False)
    return reader, writer
