"""The requests of one session of lab-command serve, read from its stream."""

from __future__ import annotations

import collections

from lab.programs.command.command_output import CHUNK, OutputForwarder
from lab.protocols.command import MAX_COMMAND, RequestDecoder, Run, is_frame
from lab.protocols.errors import RemoteProtocolError
from lab.sockets.blocking import Stream
from lab.sockets.deadline import Deadline

# A first chunk of one or two letters may be a command (``w``, ``ls``) or the beginning of a frame. The rest
# of a frame follows soon, so a short wait decides it: only for such commands, and only once per session.
AMBIGUOUS_GRACE = 0.15  # seconds


def first_chunk(stream: Stream, idle_timeout: float) -> bytes:
    """The first bytes of a session, enough to distinguish a command from a frame."""
    chunk = stream.recv_request(MAX_COMMAND + 1, Deadline(idle_timeout))
    deadline = Deadline(AMBIGUOUS_GRACE)
    while chunk and is_frame(chunk) is None:
        try:
            more = stream.recv(MAX_COMMAND + 1, deadline)
        except TimeoutError:
            break
        if not more:
            break
        chunk += more
    return chunk


class RequestQueue:
    """The requests of a frame session, in order. It also reads while a command runs, to notice
    a cancellation.
    """

    def __init__(self, stream: Stream, header_timeout: float, idle_timeout: float) -> None:
        self._stream = stream
        self._idle_timeout = idle_timeout
        self._header_timeout = header_timeout
        self._decoder = RequestDecoder()
        self._waiting: collections.deque[Run] = collections.deque()
        self._deadline: Deadline | None = None  # of the current header
        self._error: RemoteProtocolError | None = None

    def feed(self, data: bytes, output: OutputForwarder | None = None) -> None:
        """Adds the requests in ``data``. A cancellation interrupts the command of ``output``, if there is
        one.

        An error of the peer is raised only after the requests before it have been answered.
        """
        try:
            for request in self._decoder.feed(data):
                if isinstance(request, Run):
                    self._waiting.append(request)
                elif output is not None:
                    output.interrupt()
        except RemoteProtocolError as error:
            self._error = error
        if not self._decoder.in_header:
            self._deadline = None
        elif self._deadline is None:
            self._deadline = Deadline(self._header_timeout)

    def next_run(self) -> Run | None:
        """The next command; None at the end of the session. Raises RemoteProtocolError, TimeoutError."""
        while not self._waiting:
            if self._error is not None:
                raise self._error
            data = self._recv()
            if not data:
                self._decoder.end()
                return None
            self.feed(data)
        return self._waiting.popleft()

    def read_while_running(self, output: OutputForwarder) -> bool:
        """Reads once for ``output``. False if it must not read again: at most one command may wait."""
        data = self._stream.recv(CHUNK, Deadline(1.0))
        self.feed(data, output)
        return bool(data) and not self._waiting and self._error is None

    def _recv(self) -> bytes:
        if self._deadline is None:
            return self._stream.recv_request(CHUNK, Deadline(self._idle_timeout))
        try:
            return self._stream.recv(CHUNK, self._deadline)
        except TimeoutError:
            raise RemoteProtocolError(
                "header-timeout", f"the header wasn't complete after {self._header_timeout:g} s"
            ) from None
