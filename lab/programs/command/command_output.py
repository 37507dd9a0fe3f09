"""Forwards a command's output to its client, within the limits of time and output.

Each command has one poll(2) loop. Its pipes are read only when the client has taken the output read before;
this back-pressure keeps memory constant. The client's socket is polled all the time: while the command
prints nothing, there is no other way to notice that the client is gone.
"""

from __future__ import annotations

import os
import select
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import IO, Protocol

from lab.programs.command.shell import RunningCommand
from lab.protocols.command_answers import Exit, FrameAnswerEncoder
from lab.protocols.errors import ProtocolError
from lab.sockets.blocking import Stream
from lab.sockets.deadline import IDLE_TIMEOUT

CHUNK = 65_536  # a pipe's capacity
BACKGROUND_GRACE = 0.25  # seconds that background processes may keep the pipes open after the shell has ended
HALF_CLOSED_GRACE = 1.0  # seconds for a client that has shut down its sending side
INTERRUPT_GRACE = 1.0  # seconds from SIGINT to SIGKILL
_IN_MEMORY = 262_144  # bytes of an answer that are kept in memory, before a file is used


class OutputWriter(Protocol):
    """The destination of output."""

    def write(self, stream: str, data: bytes) -> None:
        """Accepts the next bytes of ``stream``."""

    def flush(self) -> bool:
        """Passes on as much as possible without waiting. Returns True if it can accept more."""


class FrameWriter:
    """Sends output as frames at once, and never waits for the client."""

    def __init__(self, stream: Stream, encoding: str) -> None:
        self._stream = stream
        self._answer = FrameAnswerEncoder(encoding)
        self._waiting = memoryview(b"")

    def write(self, stream: str, data: bytes) -> None:
        self._waiting = memoryview(bytes(self._waiting) + self._answer.output(stream, data))

    def flush(self) -> bool:
        """Raises ConnectionError if the client is gone."""
        if self._waiting:
            self._waiting = self._waiting[self._stream.send_some(self._waiting) :]
        return not self._waiting

    def exit_frame(self, ending: Exit) -> bytes:
        return self._answer.exit(ending)


class OutputBuffer:
    """Keeps the output until its size is known, because the tutorial protocols send the size first.

    Large output is kept in unnamed files.
    """

    def __init__(self) -> None:
        self.sizes = {"stdout": 0, "stderr": 0}
        self._files: dict[str, IO[bytes]] = {
            name: tempfile.SpooledTemporaryFile(max_size=_IN_MEMORY) for name in self.sizes
        }

    def write(self, stream: str, data: bytes) -> None:
        """Raises ProtocolError if the disk is full."""
        try:
            self._files[stream].write(data)
        except OSError as error:
            raise ProtocolError("no-space", f"can't keep the output: {error.strerror}") from None
        self.sizes[stream] += len(data)

    def flush(self) -> bool:
        return True

    def chunks(self, streams: tuple[str, ...]) -> Iterator[bytes]:
        """The output, one stream after the other."""
        for name in streams:
            self._files[name].seek(0)
            while chunk := self._files[name].read(CHUNK):
                yield chunk

    def close(self) -> None:
        for file in self._files.values():
            file.close()


@dataclass(frozen=True)
class Limits:
    """The limits of a command: seconds, and bytes of stdout and stderr together."""

    seconds: float
    output: int


class OutputForwarder:
    """Forwards the output of one command. ``read_requests`` is called when the client sends data; it returns
    whether it must be called again.
    """

    def __init__(
        self,
        running: RunningCommand,
        stream: Stream,
        writer: OutputWriter,
        limits: Limits,
        read_requests: Callable[[OutputForwarder], bool] | None = None,
    ) -> None:
        self._running, self._stream, self._writer = running, stream, writer
        self._read_requests = read_requests
        self._ending = Exit(limit=limits.seconds)  # the flags; the exit code follows later
        self._deadline = time.monotonic() + limits.seconds
        self._ended = self._killed = self._half_closed = False
        self._output_left = limits.output
        self._client_events = select.POLLRDHUP | (select.POLLIN if read_requests else 0)
        self._pipes = {running.stdout: "stdout", running.stderr: "stderr"}
        self._poll = select.poll()
        self._poll.register(running.pidfd, select.POLLIN)
        self._poll.register(stream.fileno(), self._client_events)
        for pipe in self._pipes:
            self._poll.register(pipe, select.POLLIN)

    def run(self) -> Exit:
        """Returns when all output has been passed on. The result lacks the exit code.

        Raises OSError if the client is gone, or doesn't read the output after the command has been killed.
        """
        while not (self._ended and not self._pipes and self._writer.flush()):
            left = max(0.0, self._deadline - time.monotonic())
            for descriptor, event in self._poll.poll(left * 1000):
                self._handle(descriptor, event)
            if time.monotonic() >= self._deadline:  # checked even if there are always events
                self._late()
        return self._ending

    def interrupt(self) -> None:
        """Ends the command at the client's request: SIGINT, and SIGKILL after INTERRUPT_GRACE."""
        if self._ended or self._killed:
            return  # too late: it has ended already
        self._ending = replace(self._ending, cancelled=True)
        self._running.interrupt()
        self._deadline = min(self._deadline, time.monotonic() + INTERRUPT_GRACE)

    def _handle(self, descriptor: int, event: int) -> None:
        if descriptor in self._pipes:
            self._read(descriptor)
        elif descriptor == self._stream.fileno():
            self._handle_client(event)
        elif descriptor == self._running.pidfd:
            self._poll.unregister(descriptor)
            self._ended = True
            if not self._killed:
                self._deadline = time.monotonic() + BACKGROUND_GRACE

    def _read(self, pipe: int) -> None:
        data = os.read(pipe, CHUNK)
        if not data:
            self._poll.unregister(pipe)
            del self._pipes[pipe]
            return
        part = data[: self._output_left]
        self._output_left -= len(part)
        if part:
            self._writer.write(self._pipes[pipe], part)
        if len(part) < len(data):
            self._end(truncated=True)
            self._drop_pipes()
        self._balance()

    def _handle_client(self, event: int) -> None:
        if event & (select.POLLHUP | select.POLLERR | select.POLLNVAL):
            raise ConnectionResetError("the client is gone, its command was killed")
        if event & select.POLLIN and self._read_requests and not self._read_requests(self):
            self._client_events &= ~select.POLLIN
        if event & select.POLLRDHUP:
            self._half_closed = True
            self._client_events = 0  # it would be reported again and again
            self._deadline = min(self._deadline, time.monotonic() + HALF_CLOSED_GRACE)
        self._balance()

    def _balance(self) -> None:
        """Reads from the command only if the client has taken all output read before."""
        ready = self._writer.flush()
        self._poll.modify(self._stream.fileno(), self._client_events | (0 if ready else select.POLLOUT))
        for pipe in self._pipes:
            if ready:
                self._poll.register(pipe, select.POLLIN)
            else:
                with suppress(KeyError):  # not registered
                    self._poll.unregister(pipe)

    def _drop_pipes(self) -> None:
        for pipe in self._pipes:
            with suppress(KeyError):
                self._poll.unregister(pipe)
        self._pipes.clear()

    def _late(self) -> None:
        now = time.monotonic()
        if not self._killed:  # time limit; or the shell has ended, but other processes hold the pipes
            self._end(timed_out=not (self._ended or self._half_closed or self._ending.cancelled))
        elif now >= self._give_up:
            raise TimeoutError("the client doesn't read its answer")
        elif self._ended and self._writer.flush() and not self._readable():
            self._drop_pipes()  # held by a process that can't be killed (another user's)
        else:
            self._deadline = min(self._give_up, now + BACKGROUND_GRACE)

    def _readable(self) -> bool:
        return any(event & select.POLLIN for fd, event in self._poll.poll(0) if fd in self._pipes)

    def _end(self, **reason: bool) -> None:
        """Kills the command. Output that is already in the pipes is still sent."""
        self._ending = replace(self._ending, **reason)
        self._running.kill()
        self._killed = True
        self._deadline = time.monotonic() + BACKGROUND_GRACE
        self._give_up = time.monotonic() + IDLE_TIMEOUT
