"""The output of a container, from the engine's log of it."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from contextlib import closing, suppress
from typing import Any

from lab.engine.client import client_of, sdk_call
from lab.engine.http.container import Container
from lab.engine.workloads.model import BILLION, HEADER, START, STREAMS, LogEntry, nanoseconds

MAX_PIECES = 100  # of a line


class Log:
    """The entries of a container's log after ``position``; with ``follow`` also later ones, until the
    container has ended. ``close`` ends the iteration at once, from any thread.
    """

    def __init__(
        self, container: Container, position: int = START, *, follow: bool = False, tail: str = "all"
    ):
        """Raises EnvironmentFailure."""
        self._terminal = bool(container.attrs["Config"].get("Tty"))
        self._position = position
        self._response = sdk_call(_open, container, position + 1, follow, tail)
        from docker.types import CancellableStream  # not at the top: see lab.engine.http.api

        self._entries = self._read()
        self._stream = CancellableStream(self._entries, self._response)

    def __iter__(self) -> Iterator[LogEntry]:
        return self._stream

    def close(self) -> None:
        from docker.errors import DockerException

        try:
            self._entries.close()
            self._response.close()
        except ValueError:  # another thread is reading; it closes the response
            with suppress(OSError, DockerException):
                self._stream.close()

    def _read(self) -> Generator[LogEntry, None, None]:
        with closing(self._response) as response:
            for stream, piece in _lines(response) if self._terminal else _frames(response):
                stamp, _, data = piece.partition(b" ")
                yield LogEntry(nanoseconds(stamp.decode()), stream, data)


def last_entry(container: Container) -> tuple[int, int]:
    """The position of the last line so far, and the number of its pieces. Raises EnvironmentFailure."""
    with closing(Log(container, tail=str(MAX_PIECES))) as log:
        positions = [entry.position for entry in log]
    last = max(positions, default=START)
    return last, positions.count(last)


def last_lines(container: Container, count: int) -> list[str]:
    """The last lines of the container's output. Raises EnvironmentFailure."""
    with closing(Log(container, tail=str(count))) as log:
        return [entry.data.decode(errors="backslashreplace").rstrip("\r\n") for entry in log]


def _open(container: Container, since: int, follow: bool, tail: str) -> Any:
    """The engine's answer. The SDK's ``logs`` joins both streams. Upstream: docker/docker-py#3253, open."""
    api: Any = client_of(container).api
    response = api._get(
        api._url("/containers/{0}/logs", container.id),
        params={
            "stdout": 1,
            "stderr": 1,
            "timestamps": 1,
            "follow": int(follow),
            "since": f"{since // BILLION}.{since % BILLION:09}",
            "tail": tail,
        },
        stream=True,
        timeout=None,
    )
    api._raise_for_status(response)
    return response


def _frames(response: Any) -> Iterator[tuple[str, bytes]]:
    """Each entry is one frame, also a piece of a long line. Upstream: docker/cli#4941, open."""
    while len(header := response.raw.read(HEADER.size)) == HEADER.size:
        stream, length = HEADER.unpack(header)
        if len(data := response.raw.read(length)) == length:
            yield STREAMS.get(stream, "stderr"), data


def _lines(response: Any) -> Iterator[tuple[str, bytes]]:
    """The output of a container with a terminal comes without frames."""
    rest = b""
    while data := response.raw.read1():
        *lines, rest = (rest + data).split(b"\n")
        yield from (("stdout", line + b"\n") for line in lines)
    if rest:
        yield "stdout", rest
