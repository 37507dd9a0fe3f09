"""`lab capture`: the packets of one node as they pass, as text or as a file for Wireshark."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from lab.control.collection.capture_stream import START_TIMEOUT, command
from lab.control.host import Host
from lab.control.process import HelperProcess
from lab.errors import EnvironmentFailure, LabError, UsageError
from lab.evidence.packets.pcap import PcapStream, Writer
from lab.locale import from_environment, message
from lab.protocols.printable import printable
from lab.remote.line_splitter import LineSplitter

WHOLE = 262_144  # bytes: the snap length for whole packets


class Live:
    """A capture on a node until it is stopped, has ``count`` packets, or the node is gone."""

    def __init__(self, host: Host, *, segment: str = "", expression: str = "", count: int = 0) -> None:
        self._host = host
        self._address = _address(host, segment)
        self._expression = expression
        self._limit = count
        self.count = 0  # packets so far
        self._unread = False  # nobody reads the output any more

    def as_text(self, out: IO[str]) -> None:
        """Writes tcpdump's line for each packet, until it is interrupted.

        Raises KeyboardInterrupt, and BrokenPipeError if nobody reads the lines.
        """
        lines = LineSplitter(lambda line: self._show(line, out))

        def show(data: bytes) -> None:
            with self._ended_by_the_reader():
                lines.feed(data)
                out.flush()

        self._run(self._host.helper(self._command("-l"), show))

    def _show(self, line: str, out: IO[str]) -> None:
        if not line:
            return  # tcpdump ends its output with an empty line
        self.count += not line.startswith(("\t", " "))  # tcpdump indents the further lines of a packet
        out.write(printable(line) + "\n")

    def into(self, file: IO[bytes]) -> None:
        """Writes whole packets as pcapng, until it is interrupted. Raises like ``as_text``."""
        stream, writer = PcapStream(), Writer(file, self._address)
        file.flush()

        def keep(data: bytes) -> None:
            with self._ended_by_the_reader():
                for frame in stream.feed(data):
                    writer.write(frame)
                self.count = stream.count
                file.flush()

        self._run(self._host.helper(self._command("-w -"), keep))

    @contextmanager
    def _ended_by_the_reader(self) -> Iterator[None]:
        try:
            yield
        except BrokenPipeError:
            self._unread = True
            raise  # ends tcpdump

    def _command(self, output: str) -> str:
        limit = f" -c {self._limit}" if self._limit else ""
        return command(self._address, WHOLE, self._expression, output=output + limit)

    def _run(self, process: HelperProcess) -> None:
        try:
            _wait_until_listening(process)
            text = message(
                "capturing on {host} ({address}); Ctrl-C ends it",
                host=self._host.title,
                address=self._address,
            )
            print(text.in_language(from_environment()), file=sys.stderr)
            process.wait_for_end()
            if self._unread:
                raise BrokenPipeError
            if not self._limit or self.count < self._limit:
                raise EnvironmentFailure(
                    message(
                        "{host}: the capture ended: {reason}", host=self._host.title, reason=_last(process)
                    )
                )
        finally:
            process.signal("INT")
            process.finish()


def _address(host: Host, segment: str) -> str:
    """The node's address on a segment, by default the first one. Raises UsageError."""
    segments = dict(zip(host.node.segments, host.node.addresses, strict=True))
    if not segment:
        return host.address
    if segment not in segments:
        raise UsageError(
            message(
                "{host} isn't on a segment {segment!r}; it is on {known}",
                host=host.title,
                segment=segment,
                known=", ".join(segments),
            )
        )
    return segments[segment]


def _wait_until_listening(process: HelperProcess) -> None:
    try:
        process.wait_until(lambda: "listening on" in process.errors, "can't capture", START_TIMEOUT)
    except EnvironmentFailure as error:
        if "filter expression" in process.errors or "syntax error" in process.errors:
            raise UsageError(
                message("no filter: {reason} (see man pcap-filter)", reason=_last(process))
            ) from error
        raise


def _last(process: HelperProcess) -> str:
    """The last line of tcpdump's errors; its first line, which isn't one, names the interface."""
    lines = [line for line in process.errors.strip().splitlines() if "listening on" not in line]
    return (lines or ["tcpdump was killed, or the node went away"])[-1].removeprefix("tcpdump: ")


@contextmanager
def file_for(path: Path) -> Iterator[IO[bytes]]:
    """The file to write; "-" is standard output. A new file is removed if the capture fails.

    Raises UsageError.
    """
    if str(path) == "-":
        if sys.stdout.isatty():
            raise UsageError(
                message("a capture is binary: pipe it, as in `lab capture HOST -w - | wireshark -k -i -`")
            )
        yield sys.stdout.buffer
        return
    existed = path.exists()
    try:
        file = open(path, "wb")
    except OSError as error:
        raise UsageError(f"{path}: {error.strerror}") from error
    try:
        with file:
            yield file
    except LabError:
        if not existed:
            path.unlink(missing_ok=True)
        raise
