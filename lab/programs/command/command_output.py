"""Carries a command's output to its client while watching the clock, the byte cap and the client.

One poll(2) loop for each command. Pipes are read only while the client takes what was read before: that
is the back-pressure which keeps memory constant. The client's socket is polled all the time, because a
silent command gives no other occasion to notice that nobody waits for its answer any more.
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
BACKGROUND_GRACE = 0.25  # seconds that pipes may stay open after the shell has ended (sleep 100 &)
HALF_GONE_GRACE = 1.0  # seconds for a client that shut down its sending side: gone, or only hasty
INTERRUPT_GRACE = 1.0  # seconds from SIGINT to SIGKILL
_IN_MEMORY = 262_144  # bytes of an answer that are kept in memory before a file takes them


class Sink(Protocol):
    """Where output goes."""

    def write(self, stream: str, data: bytes) -> None:
        """Takes the next bytes of ``stream``."""

    def flush(self) -> bool:
        """Passes on what it can without waiting; True when it is ready for more."""


class FrameSink:
    """Sends output as frames as it comes, and never waits for the client."""

    def __init__(self, stream: Stream, encoding: str) -> None:
        self._stream = stream
        self._answer = FrameAnswerEncoder(encoding)
        self._waiting = memoryview(b"")

    def write(self, stream: str, data: bytes) -> None:
        self._waiting = memoryview(bytes(self._waiting) + self._answer.output(stream, data))

    def flush(self) -> bool:
        """Raises ConnectionError where the client is gone."""
        if self._waiting:
            self._waiting = self._waiting[self._stream.send_some(self._waiting) :]
        return not self._waiting

    def exit_frame(self, ending: Exit) -> bytes:
        return self._answer.exit(ending)


class Spool:
    """Keeps output until its size is known, as the tutorial protocols want; large ones in unnamed files."""

    def __init__(self) -> None:
        self.sizes = {"stdout": 0, "stderr": 0}
        self._files: dict[str, IO[bytes]] = {
            name: tempfile.SpooledTemporaryFile(max_size=_IN_MEMORY) for name in self.sizes
        }

    def write(self, stream: str, data: bytes) -> None:
        """Raises ProtocolError where the disk is full."""
        try:
            self._files[stream].write(data)
        except OSError as error:
            raise ProtocolError("no-space", f"can't keep the output: {error.strerror}") from None
        self.sizes[stream] += len(data)

    def flush(self) -> bool:
        return True

    def chunks(self, streams: tuple[str, ...]) -> Iterator[bytes]:
        """What was written, one stream after the other."""
        for name in streams:
            self._files[name].seek(0)
            while chunk := self._files[name].read(CHUNK):
                yield chunk

    def close(self) -> None:
        for file in self._files.values():
            file.close()


@dataclass(frozen=True)
class Limits:
    """What a command may take: seconds, and bytes of stdout and stderr together."""

    seconds: float
    output: int


class Relay:
    """One command on its way to its end. ``read_requests`` is called when its client sends something, and
    says whether it wants to be called again.
    """

    def __init__(
        self,
        running: RunningCommand,
        stream: Stream,
        sink: Sink,
        limits: Limits,
        read_requests: Callable[[Relay], bool] | None = None,
    ) -> None:
        self._running, self._stream, self._sink = running, stream, sink
        self._read_requests = read_requests
        self._ending = Exit(limit=limits.seconds)  # the reason, as far as it isn't the command's own
        self._deadline = time.monotonic() + limits.seconds
        self._ended = self._killed = self._half_gone = False
        self._output_left = limits.output
        self._client_events = select.POLLRDHUP | (select.POLLIN if read_requests else 0)
        self._pipes = {running.stdout: "stdout", running.stderr: "stderr"}
        self._poll = select.poll()
        self._poll.register(running.pidfd, select.POLLIN)
        self._poll.register(stream.fileno(), self._client_events)
        for pipe in self._pipes:
            self._poll.register(pipe, select.POLLIN)

    def run(self) -> Exit:
        """The reason of the end without its exit code; the sink has passed on everything then.

        Raises OSError where the client is gone or takes nothing for too long.
        """
        while not (self._ended and not self._pipes and self._sink.flush()):
            left = max(0.0, self._deadline - time.monotonic())
            for descriptor, event in self._poll.poll(left * 1000):
                self._handle(descriptor, event)
            if time.monotonic() >= self._deadline:  # also where events never cease
                self._late()
        return self._ending

    def interrupt(self) -> None:
        """The client asks for the end: SIGINT, and a moment later SIGKILL."""
        if self._ended or self._killed:
            return  # too late: how it ended is settled
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
            self._sink.write(self._pipes[pipe], part)
        if len(part) < len(data):
            self._end(truncated=True)
            self._drop_pipes()
        self._balance()

    def _handle_client(self, event: int) -> None:
        if event & (select.POLLHUP | select.POLLERR | select.POLLNVAL):
            raise ConnectionResetError("the client went away, its command was killed")
        if event & select.POLLIN and self._read_requests and not self._read_requests(self):
            self._client_events &= ~select.POLLIN
        if event & select.POLLRDHUP:
            self._half_gone = True
            self._client_events = 0  # it would be reported for ever
            self._deadline = min(self._deadline, time.monotonic() + HALF_GONE_GRACE)
        self._balance()

    def _balance(self) -> None:
        """Reads from the command only while its client takes what was read."""
        ready = self._sink.flush()
        self._poll.modify(self._stream.fileno(), self._client_events | (0 if ready else select.POLLOUT))
        for pipe in self._pipes:
            if ready:
                self._poll.register(pipe, select.POLLIN)
            else:
                with suppress(KeyError):  # not being read already
                    self._poll.unregister(pipe)

    def _drop_pipes(self) -> None:
        for pipe in self._pipes:
            with suppress(KeyError):
                self._poll.unregister(pipe)
        self._pipes.clear()

    def _late(self) -> None:
        now = time.monotonic()
        if not self._killed:  # its time is over; or its shell ended, and something else holds the pipes
            self._end(timed_out=not (self._ended or self._half_gone or self._ending.cancelled))
        elif now >= self._give_up:
            raise TimeoutError("the client takes nothing")
        elif self._ended and self._sink.flush() and not self._readable():
            self._drop_pipes()  # held by what can't be killed
        else:
            self._deadline = min(self._give_up, now + BACKGROUND_GRACE)

    def _readable(self) -> bool:
        return any(event & select.POLLIN for fd, event in self._poll.poll(0) if fd in self._pipes)

    def _end(self, **reason: bool) -> None:
        """Kills everything; what is already in the pipes still goes to the client."""
        self._ending = replace(self._ending, **reason)
        self._running.kill()
        self._killed = True
        self._deadline = time.monotonic() + BACKGROUND_GRACE
        self._give_up = time.monotonic() + IDLE_TIMEOUT
