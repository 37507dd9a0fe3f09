"""Capture files: tcpdump's stream taken apart as it comes, and pcapng files written and read.

pcap: tcpdump's own format (draft-ietf-opsawg-pcap). pcapng (draft-ietf-opsawg-pcapng): what a run keeps,
for it says which interface a packet was seen on and how long it was on the wire.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import IO, NamedTuple

MICRO, NANO = 0xA1B2C3D4, 0xA1B23C4D  # the magic numbers of pcap: what a fraction counts
ETHERNET = 1  # the link type
MAX_FRAME = 1 << 20  # bytes; a longer one means that this is no capture
SECTION, INTERFACE, ENHANCED = 0x0A0D0D0A, 1, 6  # block types of pcapng
BYTE_ORDER = 0x1A2B3C4D
IF_NAME, IF_TSRESOL = 2, 9  # options of an interface block


class NotACapture(ValueError):
    """The bytes aren't what a capture file consists of."""


class Frame(NamedTuple):
    """One captured frame. ``size`` is what it had on the wire, ``data`` what was captured of it."""

    at: float  # seconds since the epoch
    size: int
    data: bytes


class PcapStream:
    """Turns the bytes of a pcap stream into frames, however they are cut."""

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._order = ""
        self._scale = 1e-6
        self.count = 0  # frames so far

    def feed(self, data: bytes) -> list[Frame]:
        """The frames that ``data`` completes. Raises NotACapture."""
        self._buffer += data
        if not self._order and not self._read_header():
            return []
        frames, start = [], 0
        buffer, head = self._buffer, struct.Struct(self._order + "IIII")
        while start + 16 <= len(buffer):
            seconds, fraction, kept, size = head.unpack_from(buffer, start)
            if kept > MAX_FRAME:
                raise NotACapture(f"a frame of {kept} bytes")
            end = start + 16 + kept
            if end > len(buffer):
                break
            frames.append(Frame(seconds + fraction * self._scale, size, bytes(buffer[start + 16 : end])))
            start = end
        del buffer[:start]
        self.count += len(frames)
        return frames

    def _read_header(self) -> bool:
        if len(self._buffer) < 24:
            return False
        for order in "<>":
            (magic,) = struct.unpack_from(order + "I", self._buffer)
            if magic in (MICRO, NANO):
                self._order, self._scale = order, 1e-6 if magic == MICRO else 1e-9
                del self._buffer[:24]
                return True
        raise NotACapture("no pcap header")


class Writer:
    """Writes a pcapng file with one interface, frame after frame."""

    def __init__(self, file: IO[bytes], interface: str, snaplen: int) -> None:
        self._file = file
        file.write(_block(SECTION, struct.pack("<IHHq", BYTE_ORDER, 1, 0, -1)))
        options = _option(IF_NAME, interface.encode()) + _option(0, b"")
        file.write(_block(INTERFACE, struct.pack("<HHI", ETHERNET, 0, snaplen) + options))

    def write(self, frame: Frame) -> None:
        micros = round(frame.at * 1e6)
        head = struct.pack("<IIIII", 0, micros >> 32, micros & 0xFFFFFFFF, len(frame.data), frame.size)
        self._file.write(_block(ENHANCED, head + frame.data))


def write(path: Path, interface: str, snaplen: int, frames: Iterable[Frame]) -> None:
    """A whole pcapng file; it appears under its name only when complete."""
    temporary = path.with_name(path.name + ".part")
    with open(temporary, "wb") as file:
        writer = Writer(file, interface, snaplen)
        for frame in frames:
            writer.write(frame)
    temporary.replace(path)


def read(path: Path) -> Iterator[Frame]:
    """The frames of a pcapng file, of whoever wrote it. One that ends early ends with its last whole frame.

    Raises NotACapture, OSError.
    """
    data = path.read_bytes()
    order, start = "<", 0
    scales: list[float] = []
    while start + 12 <= len(data):
        (kind,) = struct.unpack_from(order + "I", data, start)
        if kind == SECTION:
            order, scales = _byte_order(data, start), []
        (length,) = struct.unpack_from(order + "I", data, start + 4)
        if length < 12 or length % 4:
            raise NotACapture(f"{path.name}: a block of {length} bytes")
        body = data[start + 8 : start + length - 4]
        if start + length > len(data):
            return
        if kind == INTERFACE:
            scales.append(_resolution(body[8:], order))
        elif kind == ENHANCED:
            yield _enhanced(body, order, scales)
        start += length
    if not data:
        raise NotACapture(f"{path.name} is empty")


def _byte_order(data: bytes, start: int) -> str:
    for order in "<>":
        if struct.unpack_from(order + "I", data, start + 8) == (BYTE_ORDER,):
            return order
    raise NotACapture("no pcapng byte order")


def _enhanced(body: bytes, order: str, scales: list[float]) -> Frame:
    try:
        interface, high, low, kept, size = struct.unpack_from(order + "IIIII", body)
        seconds, fraction = divmod(high << 32 | low, round(1 / scales[interface]))
        return Frame(seconds + fraction * scales[interface], size, body[20 : 20 + kept])
    except (struct.error, IndexError):
        raise NotACapture("a packet block without its interface") from None


def _resolution(options: bytes, order: str) -> float:
    """Seconds that a timestamp of this interface counts: a microsecond unless it says otherwise."""
    start = 0
    while start + 4 <= len(options):
        code, length = struct.unpack_from(order + "HH", options, start)
        if code == IF_TSRESOL and length >= 1 and start + 4 < len(options):
            value = options[start + 4]
            return float(2.0 ** -(value & 0x7F) if value & 0x80 else 10.0**-value)
        start += 4 + length + -length % 4
    return 1e-6


def _block(kind: int, body: bytes) -> bytes:
    body += bytes(-len(body) % 4)
    length = 12 + len(body)
    return struct.pack("<II", kind, length) + body + struct.pack("<I", length)


def _option(code: int, value: bytes) -> bytes:
    return struct.pack("<HH", code, len(value)) + value + bytes(-len(value) % 4)
