"""One end of a transfer session: messages and file contents over a stream, each wait with a deadline."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, BinaryIO, Literal, TypeAlias

from lab.programs.transfer.block_pipeline import BlockPipeline
from lab.programs.transfer.partial import Incoming
from lab.protocols.errors import ProtocolError, RemoteProtocolError, TruncatedError
from lab.protocols.framing import Decoder, Fields, Header
from lab.sockets.blocking import Stream
from lab.sockets.deadline import HEADER_TIMEOUT, IDLE_TIMEOUT, Deadline

ProgressCallback: TypeAlias = Callable[[int], None]  # is told how many bytes of the file are done

SLOWEST_DISK = 20e6  # bytes/s: how long a peer may be busy hashing before it counts as silent


@dataclass(frozen=True)
class Timing:
    """Deadlines in seconds."""

    idle: float = IDLE_TIMEOUT
    header: float = HEADER_TIMEOUT

    def patience(self, work: int = 0) -> Deadline:
        """For a peer that may first have to read ``work`` bytes from its disk."""
        return Deadline(self.idle + work / SLOWEST_DISK)

    def block(self) -> Deadline:
        """For one block of payload, absolute: who trickles can't hold a transfer open for ever."""
        return Deadline(5 * self.idle)


class Wire:
    """A stream that speaks frames. Nothing past the frame under way is ever read."""

    def __init__(self, stream: Stream, timing: Timing) -> None:
        self.stream = stream
        self.timing = timing
        self._decoder = Decoder()
        self._file: Literal["none", "sending", "receiving"] = "none"  # what is under way

    @property
    def between_frames(self) -> bool:
        """True where both directions are between two frames, so that the session can go on."""
        return self._file == "none" and self._decoder.between_frames

    @property
    def may_answer(self) -> bool:
        """True where a header from us would be taken for one."""
        return self._file != "sending"

    def send(self, header: bytes) -> None:
        """Raises TimeoutError, ConnectionResetError."""
        try:
            self.stream.sendall(header, self.timing.patience())
        except BrokenPipeError:  # which is what one's own output is closed with, to the programs
            raise ConnectionResetError(errno.ECONNRESET, os.strerror(errno.ECONNRESET)) from None

    def receive(self, deadline: Deadline) -> Fields:
        """The next header. Raises TruncatedError where the stream ends, RemoteProtocolError, TimeoutError."""
        fields = self._receive(self.stream.recv, deadline)
        if fields is None:
            raise TruncatedError("the connection was closed in the middle of a transfer")
        return fields

    def receive_request(self, deadline: Deadline) -> Fields | None:
        """As receive, where a client may leave and a server may stop: None is the end."""
        return self._receive(self.stream.recv_request, deadline)

    def _receive(self, read: Callable[[int, Deadline], bytes], deadline: Deadline) -> Fields | None:
        data = read(self._decoder.wanted, deadline)
        deadline = Deadline(self.timing.header)
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

        Each block is read once, to be hashed, and sent from the page cache while it is still hot.
        Raises ProtocolError where the file is shorter, or where the peer says something meanwhile: why it
        doesn't want the rest.
        """
        self._file = "sending"
        self.send(header)
        with BlockPipeline([hasher.update], size - offset) as pipeline:
            while offset < size:
                block = pipeline.take()
                count = os.preadv(file.fileno(), [block[: size - offset]], offset)
                pipeline.put(block, count)
                if not count or self._send_part(file, offset, count) < count:
                    raise ProtocolError("file-changed", "the file became shorter while it was sent")
                offset += count
                on_progress(offset)
                if self.stream.readable():
                    raise RemoteProtocolError("interrupted", "the peer spoke or left in the middle of a file")
        self._file = "none"

    def _send_part(self, file: BinaryIO, offset: int, count: int) -> int:
        return self.stream.sendfile(file, offset, count, self.timing.block(), stall=self.timing.idle)

    def receive_file(self, incoming: Incoming, size: int, on_progress: ProgressCallback) -> None:
        """The payload under way goes into ``incoming`` until it has ``size`` bytes.

        Raises TruncatedError where the stream ends before, TimeoutError, and what writing raises.
        """
        self._file = "receiving"
        left = size - incoming.offset
        with BlockPipeline([incoming.hasher.update, incoming.write], left) as pipeline:
            while left:
                block = pipeline.take()
                count = min(len(block), left)
                self._fill(block[:count])
                pipeline.put(block, count)
                left -= count
                on_progress(size - left)
        self._file = "none"

    def _fill(self, block: memoryview) -> None:
        whole = self.timing.block()
        while block:
            whole.remaining()
            count = self.stream.recv_into(block, Deadline(self.timing.idle))
            if not count:
                self._decoder.end()
            self._decoder.took(count)
            block = block[count:]
