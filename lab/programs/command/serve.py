"""lab-command serve: runs what its clients ask for, and answers in one of the four protocols."""

from __future__ import annotations

import argparse
import collections
import contextlib
import hashlib
import itertools
import logging
import os
import resource
from collections.abc import Iterable, Iterator
from dataclasses import replace

from lab.programs import console
from lab.programs.command.command_output import CHUNK, FrameSink, Limits, Relay, Sink, Spool
from lab.programs.command.interpreter import interpreter
from lab.programs.command.shell import Shell
from lab.protocols.command import (
    EXIT,
    MAX_COMMAND,
    RequestDecoder,
    Run,
    check_tutorial_command,
    command_bytes,
    is_frame,
)
from lab.protocols.command_answers import (
    Exit,
    encode_error,
    tutorial_order,
    tutorial_prefix,
    tutorial_refusal,
)
from lab.protocols.errors import ProtocolError, RemoteProtocolError
from lab.sockets import threaded
from lab.sockets.blocking import Stream, listen
from lab.sockets.deadline import IDLE_TIMEOUT, Deadline

logger = logging.getLogger(__name__)

# A first chunk of one or two letters may be a command (``w``, ``ls``) or a frame whose prefix trickles in.
# A frame's other bytes are on their way then, so a short wait tells: for those commands, once a session.
AMBIGUOUS_GRACE = 0.15  # seconds


def serve(options: argparse.Namespace) -> None:
    """Serves until SIGTERM or SIGINT. Raises OSError where it can't bind or the shell isn't there."""
    say = console.Console(as_json=options.json)
    _allow_descriptors(options.max_clients)
    speaks = interpreter(options.shell, options.encoding)
    shell = Shell(speaks)
    server = Server(shell, speaks.encoding, options, say)
    stop = console.stop_on_signals()
    try:
        listener = listen(options.host, options.port)
        say.announce(listener)
        logger.info("whoever reaches this address can run commands as user %d", os.geteuid())
        threaded.serve(
            listener,
            server.handle,
            stop,
            max_clients=options.max_clients,
            busy=tutorial_refusal(options.protocol, ProtocolError("busy", "too many clients, try later")),
            grace=options.grace,
        )
    finally:
        shell.close()
        stop.close()


class Server:
    """What all sessions share: the shell and the limits."""

    def __init__(
        self, shell: Shell, encoding: str, options: argparse.Namespace, say: console.Console
    ) -> None:
        self._shell = shell
        self._protocol: str = options.protocol
        self._limits = Limits(options.timeout, options.max_output)
        self._encoding = encoding
        self._header_timeout: float = options.header_timeout
        self._idle_timeout: float = options.idle_timeout
        self._say = say

    def handle(self, stream: Stream) -> None:
        """One session, from its first request to its end."""
        first = b""
        if self._protocol == "header":
            first = _first_chunk(stream, self._idle_timeout)
            if not first:
                return
        if self._protocol == "frame" or is_frame(first):
            self._frame_session(stream, first)
        else:
            self._tutorial_session(stream, first)

    # ------------------------------------------------------------------------------- frames

    def _frame_session(self, stream: Stream, first: bytes) -> None:
        inbox = Inbox(stream, self._header_timeout, self._idle_timeout)
        try:
            inbox.feed(first)
            while request := inbox.next_run():
                self._answer_frames(stream, inbox, request)
        except ProtocolError as error:
            _tell(stream, encode_error(error))
            raise

    def _answer_frames(self, stream: Stream, inbox: Inbox, request: Run) -> None:
        encoding = request.encoding or self._encoding
        command = command_bytes(request.command, encoding)
        limits = self._limits
        if request.timeout is not None:
            limits = replace(limits, seconds=min(limits.seconds, request.timeout))
        sink = FrameSink(stream, encoding)
        ending = self._run(stream, command, sink, limits, inbox)
        stream.sendall(sink.exit_frame(ending), Deadline(IDLE_TIMEOUT))

    # ---------------------------------------------------------------------------- tutorials

    def _tutorial_session(self, stream: Stream, first: bytes) -> None:
        """One chunk, one command: where a chunk ends is all that these protocols know."""
        try:
            while chunk := first or self._next_chunk(stream):
                first = b""
                if self._protocol == "length" and chunk.strip() == EXIT:
                    return
                check_tutorial_command(chunk)
                self._answer_tutorial(stream, command_bytes(chunk, self._encoding))
        except ProtocolError as error:
            _tell(stream, tutorial_refusal(self._protocol, error))
            raise

    def _next_chunk(self, stream: Stream) -> bytes:
        return stream.recv_request(MAX_COMMAND + 1, Deadline(self._idle_timeout))

    def _answer_tutorial(self, stream: Stream, command: bytes) -> None:
        with contextlib.closing(Spool()) as spool:
            ending = self._run(stream, command, spool, self._limits)
            order = tutorial_order(self._protocol, spool.sizes["stdout"])
            note = f"lab-command: {ending.note}\n".encode() if ending.note else b""
            size = sum(spool.sizes[name] for name in order) + len(note)
            fields = {}
            if self._protocol == "header":
                fields = {
                    "md5": _md5(spool, order, note),
                    "stdout_size": spool.sizes["stdout"],
                    "encoding": self._encoding,
                    **ending.fields,
                }
            prefix = tutorial_prefix(self._protocol, size, **fields)
            for piece in _join(itertools.chain([prefix], spool.chunks(order), [note])):
                stream.sendall(piece, Deadline(IDLE_TIMEOUT))

    # ----------------------------------------------------------------------------- commands

    def _run(
        self, stream: Stream, command: bytes, sink: Sink, limits: Limits, inbox: Inbox | None = None
    ) -> Exit:
        """Runs ``command`` to its end; whatever happens, nothing of it is left then."""
        try:
            running = self._shell.start(command)
        except OSError as error:
            raise ProtocolError("cannot-start", f"can't start the shell: {error.strerror}") from None
        try:
            relay = Relay(running, stream, sink, limits, inbox.read_while_running if inbox else None)
            reason = relay.run()
        except BaseException:
            running.finish()
            self._report(stream, command, None)
            raise
        own = Exit.from_status(running.finish())
        ending = replace(reason, exit_code=own.exit_code, signal=own.signal)
        self._report(stream, command, ending)
        return ending

    def _report(self, stream: Stream, command: bytes, ending: Exit | None) -> None:
        text = command.decode(self._encoding, "replace")
        how = ending.summary if ending else "given up, its client is gone"
        fields = ending.fields if ending else {"abandoned": True}
        with contextlib.suppress(OSError):  # whoever reads our output may be gone
            line = f"{stream.peer}: {text} ({how})"
            self._say.say("command", line, peer=stream.peer, command=text, **fields)


class Inbox:
    """The requests of a frame session, in order; also while a command runs, to see its cancellation."""

    def __init__(self, stream: Stream, header_timeout: float, idle_timeout: float) -> None:
        self._stream = stream
        self._idle_timeout = idle_timeout
        self._header_timeout = header_timeout
        self._decoder = RequestDecoder()
        self._waiting: collections.deque[Run] = collections.deque()
        self._deadline: Deadline | None = None  # of the header under way
        self._error: RemoteProtocolError | None = None

    def feed(self, data: bytes, relay: Relay | None = None) -> None:
        """Takes what arrived. A cancellation ends the command that ``relay`` carries, if any.

        A mistake of the peer is kept until what came before it is answered.
        """
        try:
            for request in self._decoder.feed(data):
                if isinstance(request, Run):
                    self._waiting.append(request)
                elif relay is not None:
                    relay.interrupt()
        except RemoteProtocolError as error:
            self._error = error
        if not self._decoder.in_header:
            self._deadline = None
        elif self._deadline is None:
            self._deadline = Deadline(self._header_timeout)

    def next_run(self) -> Run | None:
        """The next command; None at the session's end. Raises RemoteProtocolError, TimeoutError."""
        while not self._waiting:
            if self._error is not None:
                raise self._error
            data = self._recv()
            if not data:
                self._decoder.end()
                return None
            self.feed(data)
        return self._waiting.popleft()

    def read_while_running(self, relay: Relay) -> bool:
        """For the relay: False once there is a next command; reading stops there, so that it's bounded."""
        data = self._stream.recv(CHUNK, Deadline(1.0))
        self.feed(data, relay)
        return bool(data) and not self._waiting and self._error is None

    def _recv(self) -> bytes:
        if self._deadline is None:
            return self._stream.recv_request(CHUNK, Deadline(self._idle_timeout))
        try:
            return self._stream.recv(CHUNK, self._deadline)
        except TimeoutError:
            raise RemoteProtocolError(
                "header-timeout", f"the header wasn't complete within {self._header_timeout:g} s"
            ) from None


def _allow_descriptors(clients: int) -> None:
    """A client needs up to eight: its socket, a command's pipes, spool files."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = 8 * clients + 64
    most = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
    if soft != resource.RLIM_INFINITY and soft < most:
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))


def _first_chunk(stream: Stream, idle_timeout: float) -> bytes:
    """The beginning of a session, as much of it as tells a command from a frame."""
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


def _tell(stream: Stream, refusal: bytes) -> None:
    with contextlib.suppress(OSError):  # the peer may be gone; what it did wrong is logged anyway
        stream.sendall(refusal, Deadline(1.0))


def _md5(spool: Spool, order: tuple[str, ...], note: bytes) -> str:
    digest = hashlib.md5(usedforsecurity=False)
    for chunk in itertools.chain(spool.chunks(order), [note]):
        digest.update(chunk)
    return digest.hexdigest()


def _join(parts: Iterable[bytes]) -> Iterator[bytes]:
    """All of it in pieces of CHUNK bytes or more and one rest: a small answer is one segment on the wire."""
    buffer = bytearray()
    for part in parts:
        buffer += part
        if len(buffer) >= CHUNK:
            yield bytes(buffer)
            buffer.clear()
    if buffer:
        yield bytes(buffer)
