"""lab-command serve: runs its clients' commands and answers in one of the four protocols."""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import itertools
import logging
import os
import resource
from collections.abc import Iterable, Iterator
from dataclasses import replace

from lab.programs import console
from lab.programs.command.command_output import (
    CHUNK,
    FrameWriter,
    Limits,
    OutputBuffer,
    OutputForwarder,
    OutputWriter,
)
from lab.programs.command.interpreter import interpreter
from lab.programs.command.request_queue import RequestQueue, first_chunk
from lab.programs.command.shell import Shell
from lab.protocols.command import (
    EXIT,
    MAX_COMMAND,
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
from lab.protocols.errors import ProtocolError
from lab.sockets import threaded
from lab.sockets.blocking import Stream, listen
from lab.sockets.deadline import IDLE_TIMEOUT, Deadline

logger = logging.getLogger(__name__)

SLOWEST_CLIENT = 100_000.0  # bytes/s; a client that reads an answer more slowly is disconnected


def serve(options: argparse.Namespace) -> None:
    """Serves until SIGTERM or SIGINT. Raises OSError if it can't bind or there is no such shell."""
    say = console.Console(as_json=options.json)
    _allow_descriptors(options.max_clients)
    speaks = interpreter(options.shell, options.encoding)
    shell = Shell(speaks)
    server = Server(shell, speaks.encoding, options, say)
    stop = console.stop_on_signals()
    try:
        listener = listen(options.host, options.port)
        say.announce(listener)
        logger.info("anyone who can reach this address can run commands as user %d", os.geteuid())
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
    """Shared by all sessions: the shell and the limits."""

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
        """Serves one session."""
        first = b""
        if self._protocol == "header":
            first = first_chunk(stream, self._idle_timeout)
            if not first:
                return
        if self._protocol == "frame" or is_frame(first):
            self._frame_session(stream, first)
        else:
            self._tutorial_session(stream, first)

    # ------------------------------------------------------------------------------- frames

    def _frame_session(self, stream: Stream, first: bytes) -> None:
        requests = RequestQueue(stream, self._header_timeout, self._idle_timeout)
        try:
            requests.feed(first)
            while request := requests.next_run():
                self._answer_frames(stream, requests, request)
        except ProtocolError as error:
            _send_refusal(stream, encode_error(error))
            raise

    def _answer_frames(self, stream: Stream, requests: RequestQueue, request: Run) -> None:
        encoding = request.encoding or self._encoding
        command = command_bytes(request.command, encoding)
        limits = self._limits
        if request.timeout is not None:
            limits = replace(limits, seconds=min(limits.seconds, request.timeout))
        writer = FrameWriter(stream, encoding)
        ending = self._run(stream, command, writer, limits, requests)
        stream.sendall(writer.exit_frame(ending), Deadline(IDLE_TIMEOUT))

    # ---------------------------------------------------------------------------- tutorials

    def _tutorial_session(self, stream: Stream, first: bytes) -> None:
        """One chunk is one command: these protocols have no framing of commands."""
        try:
            while chunk := first or self._next_chunk(stream):
                first = b""
                if self._protocol == "length" and chunk.strip() == EXIT:
                    return
                check_tutorial_command(chunk)
                self._answer_tutorial(stream, command_bytes(chunk, self._encoding))
        except ProtocolError as error:
            _send_refusal(stream, tutorial_refusal(self._protocol, error))
            raise

    def _next_chunk(self, stream: Stream) -> bytes:
        return stream.recv_request(MAX_COMMAND + 1, Deadline(self._idle_timeout))

    def _answer_tutorial(self, stream: Stream, command: bytes) -> None:
        with contextlib.closing(OutputBuffer()) as buffer:
            ending = self._run(stream, command, buffer, self._limits)
            order = tutorial_order(self._protocol, buffer.sizes["stdout"])
            note = f"lab-command: {ending.note}\n".encode() if ending.note else b""
            size = sum(buffer.sizes[name] for name in order) + len(note)
            fields = {}
            if self._protocol == "header":
                fields = {
                    "md5": _md5(buffer, order, note),
                    "stdout_size": buffer.sizes["stdout"],
                    "encoding": self._encoding,
                    **ending.fields,
                }
            prefix = tutorial_prefix(self._protocol, size, **fields)
            whole = Deadline(IDLE_TIMEOUT + size / SLOWEST_CLIENT)
            for piece in _join(itertools.chain([prefix], buffer.chunks(order), [note])):
                stream.sendall(piece, whole.or_earlier(IDLE_TIMEOUT))

    # ----------------------------------------------------------------------------- commands

    def _run(
        self,
        stream: Stream,
        command: bytes,
        writer: OutputWriter,
        limits: Limits,
        requests: RequestQueue | None = None,
    ) -> Exit:
        """Runs ``command`` until it has ended. In any case, all its processes are gone afterwards."""
        try:
            running = self._shell.start(command)
        except OSError as error:
            raise ProtocolError("cannot-start", f"can't start the shell: {error.strerror}") from None
        try:
            output = OutputForwarder(
                running, stream, writer, limits, requests.read_while_running if requests else None
            )
            reason = output.run()
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
        how = ending.summary if ending else "killed, its client is gone"
        fields = ending.fields if ending else {"abandoned": True}
        with contextlib.suppress(OSError):  # the reader of our output may be gone
            line = f"{stream.peer}: {text} ({how})"
            self._say.say("command", line, peer=stream.peer, command=text, **fields)


def _allow_descriptors(clients: int) -> None:
    """Raises the limit of descriptors. A client needs up to eight: its socket, pipes and buffer files."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = 8 * clients + 64
    most = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
    if soft != resource.RLIM_INFINITY and soft < most:
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))


def _send_refusal(stream: Stream, refusal: bytes) -> None:
    with contextlib.suppress(OSError):  # the peer may be gone; its error is logged anyway
        stream.sendall(refusal, Deadline(1.0))


def _md5(buffer: OutputBuffer, order: tuple[str, ...], note: bytes) -> str:
    digest = hashlib.md5(usedforsecurity=False)
    for chunk in itertools.chain(buffer.chunks(order), [note]):
        digest.update(chunk)
    return digest.hexdigest()


def _join(parts: Iterable[bytes]) -> Iterator[bytes]:
    """Joins ``parts`` into pieces of at least CHUNK bytes, so that a short answer is one segment on the
    wire.
    """
    buffer = bytearray()
    for part in parts:
        buffer += part
        if len(buffer) >= CHUNK:
            yield bytes(buffer)
            buffer.clear()
    if buffer:
        yield bytes(buffer)
