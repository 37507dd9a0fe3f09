"""Messages and file contents on the stream of a transfer session. Every wait has a deadline."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, BinaryIO, Literal, TypeAlias

from lab.programs.transfer.block_pipeline import BlockPipeline
from lab.programs.transfer.storage.partial_file import PartialFile
from lab.protocols.errors import ProtocolError, RemoteProtocolError, TruncatedError
from lab.protocols.framing import Decoder, Fields, Header
from lab.sockets.blocking import Stream
from lab.sockets.deadline import HEADER_TIMEOUT, IDLE_TIMEOUT, Deadline

ProgressCallback: TypeAlias = Callable[
    [int], None
]  # called with the number of bytes of the file that are done

SLOWEST_DISK = 20e6  # bytes/s; determines how long a peer may be silent while it hashes


@dataclass(frozen=True)
class TimeLimits:
    """Time limits in seconds."""

    idle: float = IDLE_TIMEOUT
    header: float = HEADER_TIMEOUT

    def answer(self, work: int = 0) -> Deadline:
        """The deadline of a message from a peer that may first have to read ``work`` bytes from its disk."""
        return Deadline(self.idle + work / SLOWEST_DISK)

    def block(self) -> Deadline:
        """The deadline of one block of payload, so that a slow peer can't hold a transfer open for ever."""
        return Deadline(5 * self.idle)


class FrameStream:
    """A stream of frames. It never reads beyond the current frame."""

    def __init__(self, stream: Stream, limits: TimeLimits) -> None:
        self.stream = stream
        self.limits = limits
        self._decoder = Decoder()
        self._file: Literal["none", "sending", "receiving"] = "none"  # the current payload

    @property
    def between_frames(self) -> bool:
        """True if both directions are between two frames, so that the session can continue."""
        return self._file == "none" and self._decoder.between_frames

    @property
    def may_answer(self) -> bool:
        """True if the peer would read a header from us as a header, not as payload."""
        return self._file != "sending"

    def send(self, header: bytes) -> None:
        """Raises TimeoutError, ConnectionResetError."""
        try:
            self.stream.sendall(header, self.limits.answer())
        except BrokenPipeError:  # to the programs it means that the reader of their own output is gone
            raise ConnectionResetError(errno.ECONNRESET, os.strerror(errno.ECONNRESET)) from None

    def receive(self, deadline: Deadline) -> Fields:
        """The next header. Raises TruncatedError at the end of the stream, RemoteProtocolError,
        TimeoutError.
        """
        fields = self._receive(self.stream.recv, deadline)
        if fields is None:
            raise TruncatedError("the connection was closed in the middle of a transfer")
        return fields

    def receive_request(self, deadline: Deadline) -> Fields | None:
        """As receive, between two requests; returns None if the stream ends or the server is stopping."""
        return self._receive(self.stream.recv_request, deadline)

    def _receive(self, read: Callable[[int, Deadline], bytes], deadline: Deadline) -> Fields | None:
        data = read(self._decoder.wanted, deadline)
        deadline = Deadline(self.limits.header)
        while data:
            for event in list(self._decoder.feed(data)):
                if isinstance(event, Header):
                    return event.fields
            data = self.stream.recv(self._decoder.wanted, deadline)
        self._decoder.end()
        return None

    def send_file(
        self,
        header: bytes,
        file: BinaryIO,
        hasher: Any,
        offset: int,
        size: int,
        on_progress: ProgressCallback,
    ) -> None:
        """Sends ``header`` and the bytes ``offset`` … ``size`` of ``file``; ``hasher`` sees them too.

        Each block is read once for the hash, and then sent from the page cache. Raises ProtocolError if the
        file is shorter, or if the peer sends something, because then it won't read the rest.
        """
        self._file = "sending"
        self.send(header)
        with BlockPipeline([hasher.update], size - offset) as pipeline:
            while offset < size:
                block = pipeline.take()
                count = os.preadv(file.fileno(), [block[: size - offset]], offset)
                pipeline.put(block, count)
                if not count or self._send_part(file, offset, count) < count:
                    raise ProtocolError("file-changed", "the file has become shorter while it was sent")
                offset += count
                on_progress(offset)
                if self.stream.readable():
                    raise RemoteProtocolError(
                        "interrupted", "the peer sent a message or left in the middle of a file"
                    )
        self._file = "none"

    def _send_part(self, file: BinaryIO, offset: int, count: int) -> int:
        return self.stream.sendfile(file, offset, count, self.limits.block(), stall=self.limits.idle)

    def receive_file(self, partial: PartialFile, size: int, on_progress: ProgressCallback) -> None:
        """Writes the payload into ``partial`` until that has ``size`` bytes.

        Raises TruncatedError if the stream ends too early, TimeoutError, and the errors of writing.
        """
        self._file = "receiving"
        left = size - partial.offset
        with BlockPipeline([partial.hasher.update, partial.write], left) as pipeline:
            while left:
                block = pipeline.take()
                count = min(len(block), left)
                self._fill(block[:count])
                pipeline.put(block, count)
                left -= count
                on_progress(size - left)
        self._file = "none"

    def _fill(self, block: memoryview) -> None:
        whole = self.limits.block()
        while block:
            whole.remaining()
            count = self.stream.recv_into(block, Deadline(self.limits.idle))
            if not count:
                self._decoder.end()
            self._decoder.took(count)
            block = block[count:]
