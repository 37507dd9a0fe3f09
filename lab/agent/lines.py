"""JSON objects, one per line, on two descriptors. Only ``flush_all`` blocks."""

from __future__ import annotations

import json
import os
import select
from collections.abc import Iterator
from typing import Any, TypeAlias

JsonObject: TypeAlias = dict[str, Any]

MAX_LINE = 1 << 20  # bytes of a received line
CHUNK = 1 << 16

USAGE, ENVIRONMENT, TIMEOUT = 2, 3, 4  # the codes of lab/errors.py, which isn't installed on the nodes


class Refused(Exception):
    """A request that isn't carried out. ``code`` is USAGE, ENVIRONMENT or TIMEOUT.

    ``unsupported`` is True if this node never supports the request.
    """

    def __init__(self, text: str, code: int = ENVIRONMENT, *, unsupported: bool = False) -> None:
        super().__init__(text)
        self.code, self.unsupported = code, unsupported

    def as_json(self) -> JsonObject:
        known = {"error": " ".join(str(self).splitlines()), "code": self.code}
        return known | {"unsupported": True} if self.unsupported else known

    @classmethod
    def from_json(cls, answer: JsonObject) -> Refused:
        return cls(answer["error"], answer["code"], unsupported="unsupported" in answer)


class Lines:
    """A stream of JSON lines in each direction."""

    def __init__(self, reader: int, writer: int, limit: int = MAX_LINE) -> None:
        """``limit`` is that of a received line, in bytes."""
        self.ended = False  # no more lines will be received
        self._reader, self._writer, self._limit = reader, writer, limit
        self._received, self._unsent = b"", bytearray()
        for descriptor in (reader, writer):
            os.set_blocking(descriptor, False)

    def fileno(self) -> int:
        """The descriptor that becomes readable when lines arrive."""
        return self._reader

    @property
    def writer(self) -> int:
        """The descriptor that becomes writable when more of ``unsent`` can be written."""
        return self._writer

    @property
    def unsent(self) -> int:
        """The number of bytes that haven't been sent yet."""
        return len(self._unsent)

    def receive(self) -> Iterator[bytes]:
        """The complete lines that have arrived. Raises Refused if one is too long: no more come."""
        try:
            data = os.read(self._reader, CHUNK)
        except BlockingIOError:
            return
        self.ended = not data
        *lines, self._received = (self._received + data).split(b"\n")
        if len(self._received) > self._limit:
            self.ended = True
            raise Refused(f"a line has more than {self._limit} bytes", USAGE)
        yield from lines

    def add(self, message: JsonObject) -> None:
        """Adds a message to those that ``flush`` sends."""
        self._unsent += json.dumps(message).encode() + b"\n"

    def flush(self) -> None:
        """Sends as much as it can without blocking. Raises OSError."""
        while self._unsent:
            try:
                del self._unsent[: os.write(self._writer, self._unsent[:CHUNK])]
            except BlockingIOError:
                return

    def flush_all(self) -> None:
        """Returns when everything has been sent. Raises OSError."""
        self.flush()
        while self._unsent:
            select.select([], [self._writer], [])
            self.flush()

    def close(self) -> None:
        os.close(self._reader)
        if self._writer != self._reader:
            os.close(self._writer)


def pair() -> tuple[tuple[int, int], tuple[int, int]]:
    """The descriptors of both ends of a stream between two processes: for each end, (to read, to write)."""
    (ours_in, theirs_out), (theirs_in, ours_out) = os.pipe(), os.pipe()
    return (ours_in, ours_out), (theirs_in, theirs_out)


def parse(line: bytes) -> JsonObject:
    """The object on a line. Raises Refused."""
    try:
        message = json.loads(line)
    except (ValueError, RecursionError):
        raise Refused("a request isn't JSON", USAGE) from None
    if not isinstance(message, dict):
        raise Refused("a request isn't an object", USAGE)
    return message
