"""The supervisor of lab-command serve: it starts the commands and kills the processes that they leave behind.

It is the parent of every command's shell and a child subreaper: processes that lose their parent (daemons)
become its children. It holds one end of a socket to the server and ends when the other end is closed. So when
the server ends in any way, SIGKILL included, the supervisor kills all its descendants and exits.

Each command has its own mark in its environment, which its descendants inherit. An adopted process with that
mark belongs to that command. A process that has cleared its environment *and* lost its parent can't be
assigned to a command: it is killed when a command ends while no other is running, or with the server.
"""

from __future__ import annotations

import contextlib
import os
import pickle
import signal
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from lab.programs.command.process_tree import KILL_TIME, adopt_orphans, children, kill, reap, with_descendants
from lab.sockets.process_channel import Channel

MARK = b"LAB_COMMAND_MARK"
_IGNORED = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
# Python ignores the first two.
_RESET = (signal.SIGPIPE, signal.SIGXFSZ, *_IGNORED)


class Supervisor:
    """The server's side: starts the supervisor process and sends it requests.

    Create it before any thread is started. Methods raise OSError if the process has ended.
    """

    def __init__(self) -> None:
        self._channel, theirs = Channel.pair()
        self._lock = threading.Lock()  # one request at a time
        adopt_orphans()  # in case the supervisor is killed
        self._pid = os.fork()
        if self._pid == 0:
            self._channel.close()
            _main(theirs)
        theirs.close()

    def start(
        self, argv: list[bytes], variables: Mapping[bytes, bytes], mark: bytes, pipes: list[int]
    ) -> int:
        """Starts a shell with ``pipes`` as its stdout and stderr, and returns its process id."""
        return self._request(("start", argv, dict(variables), mark), pipes)

    def kill_orphans(self, mark: bytes) -> None:
        """Kills the processes of a command that have lost their parent."""
        self._request(("kill_orphans", mark))

    def finish(self, pid: int, mark: bytes) -> int:
        """Kills the processes that the ended shell ``pid`` has left behind.

        Returns its status as os.waitstatus_to_exitcode does. The process id is free from then on.
        """
        return self._request(("finish", pid, mark))

    def close(self) -> None:
        """Kills all commands and waits until the supervisor has ended."""
        self._channel.shutdown()
        self._channel.close()
        with contextlib.suppress(ChildProcessError):
            os.waitpid(self._pid, 0)
        _kill_children()  # those that were left if the supervisor itself was killed

    def _request(self, request: tuple[Any, ...], descriptors: Sequence[int] = ()) -> int:
        with self._lock:
            self._channel.send(pickle.dumps(request), descriptors)
            answer, _ = self._channel.recv()
        if not answer:
            raise ConnectionAbortedError("the supervisor has ended")
        result = pickle.loads(answer)
        if isinstance(result, OSError):
            raise result
        return int(result)


def _main(requests: Channel) -> None:
    """The supervisor process. Doesn't return."""
    try:
        os.setsid()  # so that signals for the server's group or from its terminal don't reach it
        for number in _IGNORED:
            signal.signal(number, signal.SIG_IGN)
        _replace_standard_streams()
        adopt_orphans()
        _Process(requests).serve()
        _kill_children()
    finally:
        os._exit(0)


def _replace_standard_streams() -> None:
    """Closes the server's input and output here, so that their other ends notice when the server exits."""
    null = os.open(os.devnull, os.O_RDWR)
    for descriptor in (0, 1, 2):
        os.dup2(null, descriptor)
    os.close(null)


def _kill_children() -> None:
    until = time.monotonic() + KILL_TIME
    while time.monotonic() < until:
        alive = [pid for pid in children(os.getpid()) if not reap(pid)]
        if not kill(with_descendants(alive), until):
            return


class _Process:
    """The supervisor's side: carries out the server's requests, one at a time."""

    def __init__(self, requests: Channel) -> None:
        self._channel = requests
        self._environment = dict(os.environb)
        self._shells: set[int] = set()
        self._operations: dict[str, Callable[..., int]] = {
            "start": self._start, "kill_orphans": self._kill_orphans, "finish": self._finish,
        }  # fmt: skip

    def serve(self) -> None:
        """Handles requests until the server closes its end."""
        with contextlib.suppress(OSError):
            while request := self._receive():
                self._channel.send(pickle.dumps(self._carry_out(*request)))

    def _receive(self) -> tuple[Any, ...] | None:
        data, descriptors = self._channel.recv()
        return (*pickle.loads(data), *([descriptors] if descriptors else [])) if data else None

    def _carry_out(self, operation: str, *arguments: Any) -> int | OSError:
        try:
            return self._operations[operation](*arguments)
        except OSError as error:
            return error

    def _start(
        self, argv: list[bytes], variables: dict[bytes, bytes], mark: bytes, pipes: tuple[int, int]
    ) -> int:
        try:
            pid = os.posix_spawn(
                argv[0],
                argv,
                self._environment | variables | {MARK: mark},
                file_actions=[
                    (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
                    (os.POSIX_SPAWN_DUP2, pipes[0], 1),
                    (os.POSIX_SPAWN_DUP2, pipes[1], 2),
                ],
                setsid=True,
                setsigmask=(),
                setsigdef=_RESET,
            )
        finally:
            for pipe in pipes:
                os.close(pipe)
        self._shells.add(pid)
        return pid

    def _finish(self, pid: int, mark: bytes) -> int:
        self._kill_orphans(mark)
        self._shells.discard(pid)
        _, status = os.waitpid(pid, 0)
        return os.waitstatus_to_exitcode(status)

    def _kill_orphans(self, mark: bytes) -> int:
        alone = len(self._shells) == 1  # then every adopted process belongs to this command or an earlier one
        until = time.monotonic() + KILL_TIME
        while time.monotonic() < until:
            adopted = [pid for pid in children(os.getpid()) if pid not in self._shells and not reap(pid)]
            victims = [pid for pid in adopted if alone or _has_mark(pid, mark)]
            if not kill(with_descendants(victims), until):
                break
        return 0


def _has_mark(pid: int, mark: bytes) -> bool:
    try:
        with open(f"/proc/{pid}/environ", "rb") as file:
            return MARK + b"=" + mark in file.read().split(b"\0")
    except OSError:
        return False
