"""lab-transfer serve: one thread per client, all files below one root."""

from __future__ import annotations

import contextlib
import logging
import os
import socket
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import islice
from typing import Any

from lab.programs.console import Console
from lab.programs.transfer.frame_stream import FrameStream, TimeLimits
from lab.programs.transfer.storage.partial_file import PartialFile, PartialFiles, hash_file
from lab.programs.transfer.storage.root import Root, status_of
from lab.protocols.errors import ProtocolError, RemoteProtocolError
from lab.protocols.names import Path, forbidden_on_windows, shown
from lab.protocols.transfer import (
    ENTRIES_PER_FRAME,
    MAX_TEXT,
    Content,
    Data,
    Digest,
    Done,
    EndOfList,
    Entries,
    Error,
    FindPartial,
    Get,
    List,
    MakeDirectory,
    Message,
    Partial,
    Put,
    Ready,
    Refusal,
    Remove,
    Stat,
    Stored,
    encode_answer,
    parse_request,
)
from lab.sockets import threaded
from lab.sockets.blocking import Stream
from lab.sockets.connection import MAX_CLIENTS
from lab.sockets.deadline import Deadline
from lab.sockets.stop import Stop

logger = logging.getLogger(__name__)

BUSY = encode_answer(Error("busy", "too many clients; try again later"))


def serve(
    listener: socket.socket,
    root: Root,
    console: Console,
    stop: Stop,
    *,
    read_only: bool = False,
    windows_names: bool = False,
    max_clients: int = MAX_CLIENTS,
    limits: TimeLimits = TimeLimits(),  # noqa: B008  (frozen)
) -> None:
    """Serves the files below ``root`` until ``stop``."""

    active_puts = ActivePuts()

    def handle(stream: Stream) -> None:
        Session(
            stream, root, console, active_puts,
            read_only=read_only, windows_names=windows_names, limits=limits,
        ).run()  # fmt: skip

    threaded.serve(listener, handle, stop, max_clients=max_clients, busy=BUSY)


class ActivePuts:
    """The puts in progress, so that a client that has lost its connection can resume its own put.

    The old connection may take half a minute to fail, and its thread holds the partial file until then.
    """

    STALLED = 1.0  # seconds without data
    LET_GO = 2.0  # seconds that the old session gets to end

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._puts: dict[Stream, tuple[Path, threading.Event]] = {}

    @contextlib.contextmanager
    def put(self, path: Path, stream: Stream) -> Iterator[None]:
        """Registers a put into ``path`` for the time of the context."""
        ended = threading.Event()
        with self._lock:
            self._puts[stream] = path, ended
        try:
            yield
        finally:
            with self._lock:
                del self._puts[stream]
            ended.set()

    def take_over(self, path: Path, client: Stream) -> None:
        """Ends the stalled puts into ``path`` from the same address."""
        with self._lock:
            stalled = [
                (stream, ended)
                for stream, (other, ended) in self._puts.items()
                if other == path and stream.peer_host == client.peer_host and stream.silence() > self.STALLED
            ]
        for stream, ended in stalled:
            stream.shut()
            ended.wait(self.LET_GO)


class Session:
    """The session of one client: its requests, one after the other."""

    def __init__(
        self,
        stream: Stream,
        root: Root,
        console: Console,
        active_puts: ActivePuts,
        *,
        read_only: bool,
        windows_names: bool,
        limits: TimeLimits,
    ) -> None:
        self._peer = stream.peer
        self._active_puts = active_puts
        self._root = root
        self._console = console
        self._read_only = read_only
        self._windows_names = windows_names
        self._limits = limits
        self._wire = FrameStream(stream, limits)
        self._client_reads = 0  # bytes that the client may hash before its next request
        self._answers: dict[type[Message], Callable[[Any], None]] = {
            Put: self._put, Get: self._get, FindPartial: self._find_partial, List: self._list,
            Stat: self._stat, Remove: self._remove, MakeDirectory: self._make_directory,
        }  # fmt: skip

    def run(self) -> None:
        """Serves until the client leaves, violates the protocol, or is silent for too long."""
        try:
            while self._serve_one():
                pass
        except (ProtocolError, TimeoutError) as error:
            self._report_error(error)
            raise

    def _serve_one(self) -> bool:
        header = self._wire.receive_request(self._limits.answer(self._client_reads))
        if header is None:
            return False
        self._client_reads = 0
        try:
            request = parse_request(header)
            answer = self._answers.get(type(request))
            if answer is None:
                raise RemoteProtocolError("out-of-place", "this frame is valid only after a put")
            self._check_names(request)
            answer(request)
        except Refusal as refusal:
            if not self._wire.between_frames:
                raise
            if refusal.code != "not-found":  # normal: clients ask whether a file exists
                logger.warning("%s: %s", self._peer, refusal)
            self._send(_error(refusal))
        return True

    def _check_names(self, request: Any) -> None:
        if self._windows_names and (why := forbidden_on_windows(request.path)):
            raise Refusal("name-refused", f"{shown(request.path)}: {why}")

    def _report_error(self, error: ProtocolError | TimeoutError) -> None:
        """Sends the error to the client, if it can read it, before the connection is closed."""
        if self._wire.may_answer:
            with contextlib.suppress(OSError):
                self._wire.stream.sendall(encode_answer(_error(error)), Deadline(1.0))

    def _send(self, answer: Message) -> None:
        self._wire.send(encode_answer(answer))

    def _report(self, event: str, path: tuple[str, ...], text: str, **fields: object) -> None:
        self._console.say(
            event, f"{self._peer} {event} {shown(path)}{text}", peer=self._peer, path=shown(path), **fields
        )

    def _expect(self, kind: type[Message]) -> tuple[Any, int]:
        """The next frame of a put, which must be of this ``kind``, and the size of its payload."""
        header = self._wire.receive(self._limits.answer())
        message = parse_request(header)
        if not isinstance(message, kind):
            raise RemoteProtocolError(
                "out-of-place", f"{type(message).__name__} came instead of {kind.__name__}"
            )
        return message, header["total_size"]

    def _put(self, put: Put) -> None:
        self._check_writable()
        with (
            self._active_puts.put(put.path, self._wire.stream),
            self._root.partials(put.path) as partials,
            _open_partial(partials, put) as partial,
        ):
            self._send(Ready())
            _, size = self._expect(Data)
            if size != put.size - put.offset:
                raise RemoteProtocolError("bad-message", "the payload must be the rest of the file")
            self._wire.receive_file(partial, put.size, lambda _: None)
            digest = self._expect(Digest)[0].digest
            partial.commit(digest, put.mode, put.mtime)
        self._report(
            "stored",
            put.path,
            f": {put.size} bytes, sha256 {digest}",
            size=put.size,
            digest=digest,
            resumed_from=put.offset,
        )
        self._send(Stored(put.size, digest))

    def _get(self, get: Get) -> None:
        with self._root.open(get.path) as file:
            found = status_of(os.fstat(file.fileno()))
            if get.offset > found.size:
                raise _stale(get.path, "the file is shorter than the offset")
            hasher = hash_file(file.fileno(), get.offset)
            if get.offset and hasher.hexdigest() != get.prefix_digest:
                raise _stale(get.path, "the file begins with other data")
            content = Content(found.size, get.offset, found.mode, found.mtime)
            header = encode_answer(content, found.size - get.offset)
            self._wire.send_file(header, file, hasher, get.offset, found.size, lambda _: None)
            self._send(Digest(hasher.hexdigest()))
        self._report(
            "sent",
            get.path,
            f": {found.size} bytes",
            size=found.size,
            digest=hasher.hexdigest(),
            resumed_from=get.offset,
        )

    def _find_partial(self, request: FindPartial) -> None:
        self._active_puts.take_over(request.path, self._wire.stream)
        with self._root.partials(request.path) as partials:
            partial = partials.resume()
            self._client_reads = partial.offset if partial else 0
            if partial:
                partial.release()
        self._send(Partial(self._client_reads))

    def _list(self, request: List) -> None:
        entries = self._root.entries(request.path)
        while part := tuple(islice(entries, ENTRIES_PER_FRAME)):
            self._send(Entries(part))
        self._send(EndOfList())

    def _stat(self, request: Stat) -> None:
        status = self._root.stat(request.path)
        self._client_reads = status.size
        if request.want_digest:
            with self._root.open(request.path) as file:
                status = status_of(os.fstat(file.fileno()))
                status = replace(status, digest=hash_file(file.fileno(), status.size).hexdigest())
        self._send(status)

    def _remove(self, request: Remove) -> None:
        self._check_writable()
        count = self._root.remove(request.path, recursive=request.recursive)
        self._report("removed", request.path, "", count=count)
        self._send(Done(count))

    def _make_directory(self, request: MakeDirectory) -> None:
        self._check_writable()
        count = self._root.make_directory(request.path, parents=request.parents)
        self._report("made", request.path, "/", count=count)
        self._send(Done(count))

    def _check_writable(self) -> None:
        if self._read_only:
            raise Refusal("read-only", "the server is read-only")


def _open_partial(partials: PartialFiles, put: Put) -> PartialFile:
    """The partial file for a put. A wrong offset or prefix is refused without any change."""
    if not put.offset:
        return partials.begin(put.size)
    partial = partials.resume()
    if partial is None:
        raise _stale(put.path, "the server has no data of it")
    try:
        if partial.offset != put.offset:
            raise _stale(put.path, f"the server has {partial.offset} bytes, not {put.offset}")
        if partial.hash_prefix() != put.prefix_digest:
            raise _stale(put.path, "the server has other data")
        partial.expect(put.size)
    except BaseException:
        partial.release()
        raise
    return partial


def _error(error: ProtocolError | TimeoutError) -> Error:
    code = error.code if isinstance(error, ProtocolError) else "timeout"
    return Error(code, str(error)[:MAX_TEXT])  # it may contain a long path


def _stale(path: tuple[str, ...], why: str) -> Refusal:
    return Refusal("conflict", f"{shown(path)}: can't be resumed: {why}")
