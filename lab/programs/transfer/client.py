"""The client of a transfer session: one file or one request at a time."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, BinaryIO, TypeVar

from lab.programs.transfer.frame_stream import FrameStream, ProgressCallback, TimeLimits
from lab.programs.transfer.storage.partial_file import PartialFile, hash_file
from lab.programs.transfer.storage.root import Root, status_of
from lab.protocols.errors import ProtocolError, RemoteProtocolError, TruncatedError
from lab.protocols.names import Path
from lab.protocols.transfer import (
    RESUME_ALIGNMENT,
    Content,
    Data,
    Digest,
    Done,
    EndOfList,
    Entries,
    Entry,
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
    Status,
    Stored,
    encode_request,
    parse_answer,
)
from lab.sockets.blocking import Stream

Answer = TypeVar("Answer", bound=Message)


@dataclass(frozen=True)
class Outcome:
    """A completed, verified transfer. ``resumed_from`` bytes had been transferred before."""

    size: int
    digest: str
    resumed_from: int


class Client:
    """A connection to a transfer server. Methods raise Refusal, ProtocolError, OSError."""

    def __init__(self, stream: Stream, limits: TimeLimits = TimeLimits()) -> None:  # noqa: B008  (frozen)
        self._wire = FrameStream(stream, limits)
        self._limits = limits

    def put(
        self, file: BinaryIO, path: Path, on_progress: ProgressCallback, *, resume: bool = True
    ) -> Outcome:
        """Stores the content of ``file``, its permission bits and modification time, at ``path``."""
        found = status_of(os.fstat(file.fileno()))
        offset = self._find_partial(path, found.size) if resume else 0
        while True:
            hasher = hash_file(file.fileno(), offset, on_progress)
            prefix_digest = hasher.hexdigest() if offset else ""
            put = Put(path, offset, prefix_digest, size=found.size, mode=found.mode, mtime=found.mtime)
            try:
                self._ask(put, Ready, work=offset)
                break
            except Refusal as refusal:
                if refusal.code != "conflict" or not offset:
                    raise
                offset = 0  # the server's data belongs to another file: start again
        stored = self._send_content(file, hasher, offset, found.size, on_progress)
        return Outcome(stored.size, stored.digest, offset)

    def _find_partial(self, path: Path, size: int) -> int:
        if size < RESUME_ALIGNMENT:
            return 0
        offset = self._ask(FindPartial(path), Partial).offset
        return offset if offset <= size else 0

    def _send_content(
        self, file: BinaryIO, hasher: Any, offset: int, size: int, on_progress: ProgressCallback
    ) -> Stored:
        header = encode_request(Data(), size - offset)
        try:
            self._wire.send_file(header, file, hasher, offset, size, on_progress)
            self._wire.send(encode_request(Digest(hasher.hexdigest())))
        except (ConnectionError, RemoteProtocolError):
            raise self._reason() from None
        stored = self._expect(Stored, work=size - offset)
        if (stored.size, stored.digest) != (size, hasher.hexdigest()):
            raise RemoteProtocolError("digest-mismatch", "the stored data differs from the data sent")
        return stored

    def _reason(self) -> ProtocolError:
        """Why the server closed the connection or sent a message while we were sending."""
        try:
            self._expect(Ready)
        except ProtocolError as reason:  # a Refusal, or a TruncatedError if the server sent no message
            return reason
        except OSError:
            pass
        return TruncatedError("the connection was closed in the middle of a file")

    def get(
        self, path: Path, root: Root, target: Path, on_progress: ProgressCallback, *, resume: bool = True
    ) -> Outcome:
        """Fetches the file at ``path`` to ``target`` below ``root``: complete and verified, or not at all."""
        with root.partials(target) as partials:
            with (partials.resume() if resume else None) or partials.begin(0) as partial:
                content = self._ask_content(path, partial, on_progress)
                if content.offset != partial.offset:
                    raise RemoteProtocolError("bad-message", "the server sent a part that was not requested")
                partial.expect(content.size)
                self._wire.receive_file(partial, content.size, on_progress)
                digest = self._expect(Digest).digest
                partial.commit(digest, content.mode, content.mtime)
        return Outcome(content.size, digest, content.offset)

    def _ask_content(self, path: Path, partial: PartialFile, on_progress: ProgressCallback) -> Content:
        if partial.offset:
            self.stat(path)  # makes the server wait while we read our data
            try:
                get = Get(path, partial.offset, partial.hash_prefix(on_progress))
                return self._ask(get, Content, work=partial.offset)
            except Refusal as refusal:
                if refusal.code != "conflict":
                    raise
            partial.start_over(0)  # our data belongs to another file
        return self._ask(Get(path), Content)

    def stat(self, path: Path, *, digest: bool = False) -> Status:
        """The status of ``path``; with ``digest``, including the digest of a file."""
        status = self._ask(Stat(path), Status)
        if digest and status.kind == "file":
            status = self._ask(Stat(path, want_digest=True), Status, work=status.size)
        return status

    def entries(self, path: Path) -> Iterator[Entry]:
        """The entries of a directory. Consume all of them before the next request."""
        self._wire.send(encode_request(List(path)))
        while True:
            answer: Message = self._expect(Entries, EndOfList)
            if not isinstance(answer, Entries):
                return
            yield from answer.entries

    def make_directory(self, path: Path, *, parents: bool = False) -> int:
        """Returns the number of directories created."""
        return self._ask(MakeDirectory(path, parents), Done).count

    def remove(self, path: Path, *, recursive: bool = False) -> int:
        """Returns the number of files and directories removed."""
        return self._ask(Remove(path, recursive), Done).count

    def _ask(self, request: Message, kind: type[Answer], work: int = 0) -> Answer:
        self._wire.send(encode_request(request))
        return self._expect(kind, work=work)

    def _expect(self, *kinds: type[Answer], work: int = 0) -> Answer:
        """The server's answer, which must be one of ``kinds``. Raises Refusal, RemoteProtocolError."""
        answer = parse_answer(self._wire.receive(self._limits.answer(work)))
        if isinstance(answer, Error):
            raise Refusal(answer.code, answer.text)
        if not isinstance(answer, kinds):
            raise RemoteProtocolError("out-of-place", f"the server answered {type(answer).__name__}")
        return answer
