"""Capture files: tcpdump's stream taken apart as it comes, and pcapng files written and read.

pcap is what tcpdump streams; pcapng is what a run keeps, for it says which interface a packet was seen on.
Both are scapy's to read and write. It is imported only where a capture is handled, for that takes 0.1 s.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Iterable, Iterator
from contextlib import suppress
from io import BytesIO
from pathlib import Path
from typing import IO, Any, NamedTuple

ETHERNET = 1  # the link type
HEADER = 24  # bytes that a pcap stream begins with
MAX_FRAME = 262_140  # bytes that scapy reads of a frame; a longer one means that this is no capture

logging.getLogger("scapy").setLevel(logging.CRITICAL)  # what is wrong with a capture is said once, by us


class NotACapture(ValueError):
    """The bytes aren't what a capture file consists of."""


class Frame(NamedTuple):
    """One captured frame. ``size`` is what it had on the wire, ``data`` what was captured of it."""

    at: float  # seconds since the epoch
    size: int
    data: bytes


class PcapStream:
    """Turns the bytes of a pcap stream into frames, however they are cut.

    scapy pulls bytes from a file, and these are pushed. So each piece is a file to it, after what was left of
    the one before. A pipe and a thread that reads it would do, too, but then a frame could be here and not
    yet counted, and its end and its errors would be the thread's.
    """

    def __init__(self) -> None:
        self._reader: Any = None
        self._rest = b""
        self.count = 0  # frames so far

    def feed(self, data: bytes) -> list[Frame]:
        """The frames that ``data`` completes. Raises NotACapture."""
        self._rest += data
        if self._reader is None:
            if len(self._rest) < HEADER:
                return []
            self._reader = _reader(BytesIO(self._rest[:HEADER]), "this stream")
            self._rest = self._rest[HEADER:]
        self._reader.f = file = BytesIO(self._rest)
        frames = list(_frames(self._reader, "this stream"))
        self._rest = file.read()
        self.count += len(frames)
        return frames


class Writer:
    """Writes a pcapng file with one interface, frame after frame."""

    def __init__(self, file: IO[bytes], interface: str) -> None:
        from scapy.utils import RawPcapNgWriter

        self._writer = RawPcapNgWriter(os.devnull)  # it takes a name, and we have a file
        self._writer.f.close()
        self._writer.f = file
        self._writer.tsresol = 1  # for whole microseconds: of seconds in a float it may lose one
        # Block by block: its write_packet() would have an interface without a name in front of ours.
        self._writer._write_block_shb()
        self._writer._write_block_idb(ETHERNET, interface.encode())

    def write(self, frame: Frame) -> None:
        micros = round(frame.at * 1e6)
        self._writer._write_block_epb(frame.data, ifid=0, timestamp=micros, orglen=frame.size)


def write(path: Path, interface: str, frames: Iterable[Frame]) -> None:
    """A whole pcapng file; it appears under its name only when complete."""
    temporary = path.with_name(path.name + ".part")
    with open(temporary, "wb") as file:
        writer = Writer(file, interface)
        for frame in frames:
            writer.write(frame)
    temporary.replace(path)


def read(path: Path) -> Iterator[Frame]:
    """The frames of a capture file, of whoever wrote it. One that ends early ends with its last whole frame.

    Raises NotACapture, OSError.
    """
    file = BytesIO(path.read_bytes())  # no length in it can ask for more memory than it has
    yield from _frames(_reader(file, path.name), path.name)


def _reader(file: Any, name: str) -> Any:
    """scapy's reader for this kind of file, pcapng or pcap. Raises NotACapture."""
    from scapy.error import Scapy_Exception
    from scapy.utils import RawPcapNgReader

    try:
        return RawPcapNgReader(file)
    except (Scapy_Exception, EOFError):
        raise NotACapture(f"{name} is no capture") from None


def _frames(reader: Any, name: str) -> Iterator[Frame]:
    """The whole frames in the reader's file, which stands after the last of them then. Raises NotACapture."""
    from scapy.error import Scapy_Exception

    end = reader.f.tell()
    with suppress(Scapy_Exception, EOFError):
        while frame := _frame(reader, name):
            yield frame
            end = reader.f.tell()
    if reader.f.read(1):  # it gave up before the end
        raise NotACapture(f"{name} is broken after {end} bytes")
    reader.f.seek(end)


def _frame(reader: Any, name: str) -> Frame | None:
    """The next frame; None where its end is missing. Raises NotACapture, EOFError, Scapy_Exception."""
    data, about = reader._read_packet(MAX_FRAME)
    if hasattr(about, "tsresol"):  # pcapng
        if about.tshigh is None:
            raise NotACapture(f"{name}: a packet without a time")
        seconds, fraction = divmod(about.tshigh << 32 | about.tslow, about.tsresol)
        return Frame(seconds + fraction / about.tsresol, about.wirelen, data)
    if about.caplen > MAX_FRAME:
        raise NotACapture(f"{name}: a frame of {about.caplen} bytes")
    if len(data) < about.caplen:
        return None
    return Frame(about.sec + about.usec * (1e-9 if reader.nano else 1e-6), about.wirelen, data)
