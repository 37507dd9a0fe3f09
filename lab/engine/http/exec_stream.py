"""The stream of a ``docker exec`` as a socket."""

from __future__ import annotations

import io
import struct
from typing import Any

from lab.engine.http.api import buffered

HEADER = struct.Struct(">BxxxL")  # stream, length of the payload: Engine API, "attach"
STDOUT = 1
MAX_STDERR = 4096  # bytes kept: the last ones


class ExecStream:
    """Writes to the command's stdin, reads its stdout; the engine's frames are decoded on the way."""

    def __init__(self, raw: Any, received: bytes = b"") -> None:
        """``raw`` is a socket, or what the Docker SDK's exec_start(socket=True) returns. ``received`` has
        been read from it already.
        """
        self._raw = raw
        self._socket, more = upgraded(raw)
        self._pending = bytearray(received + more)
        self._left = 0  # bytes of the current frame
        self._is_stdout = False  # the stream of the current frame
        self.stderr = b""
        self._closed = False  # paramiko reads this attribute

    def send(self, data: bytes, /) -> int:
        return int(self._socket.send(data))

    def recv(self, limit: int, /) -> bytes:
        """Returns up to ``limit`` bytes of stdout; b"" at its end."""
        while True:
            data = self._take(limit)
            if data:
                return data
            more = self._socket.recv(1 << 16)
            if not more:
                return b""
            self._pending += more

    def settimeout(self, seconds: float | None, /) -> None:
        self._socket.settimeout(seconds)

    def close(self) -> None:
        self._closed = True
        close_upgraded(self._raw)

    def _take(self, limit: int) -> bytes:
        """The stdout in the bytes received so far; frames of stderr are kept."""
        while self._pending:
            if not self._left:
                if len(self._pending) < HEADER.size:
                    return b""
                stream, self._left = HEADER.unpack_from(self._pending)
                self._is_stdout = stream == STDOUT
                del self._pending[: HEADER.size]
                continue
            count = min(self._left, len(self._pending), limit)
            data = bytes(self._pending[:count])
            del self._pending[:count]
            self._left -= count
            if self._is_stdout:
                return data
            self.stderr = (self.stderr + data)[-MAX_STDERR:]
        return b""


def close_upgraded(raw: Any) -> None:
    """Closes the SDK's object, or the socket.

    The HTTP response of the SDK comes first: its reader flushes the object below, which must be open.
    """
    response = getattr(raw, "_response", None)
    if response is not None:
        response.close()
    raw.close()
    socket = getattr(raw, "_sock", None)
    if socket is not None:
        socket.close()


def upgraded(raw: Any) -> tuple[Any, bytes]:
    """The socket behind the SDK's object, and the bytes that were received together with the HTTP header.

    The SDK returns the socket below the buffer that the header was read through, and these bytes are lost.
    Its object is also read-only. Upstream: docker/docker-py#3332 and #2255, both open.
    """
    socket = getattr(raw, "_sock", raw)  # a unix or TCP socket, a pipe, or an SSH channel
    response = getattr(raw, "_response", None)
    reader = response.raw._fp.fp if response is not None else None
    if not isinstance(reader, io.BufferedReader) or socket is raw:
        return socket, b""
    return socket, buffered(socket, reader)
