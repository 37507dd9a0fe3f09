"""Capture files: the decoder of tcpdump's pcap stream, and a reader and a writer of pcapng files.

tcpdump streams pcap. A run keeps pcapng, because it names the interface of each packet. Both formats are
read here, since dpkt's readers drop the length that a packet had on the wire, and its writer can't store it.

Specifications: draft-ietf-opsawg-pcap and draft-ietf-opsawg-pcapng (sections 3.1 and 4).
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import IO, NamedTuple

ETHERNET = 1  # the link type
MAX_FRAME = 262_144  # bytes captured of one frame: the largest snapshot length that tcpdump accepts
MAX_BLOCK = 16 << 20  # bytes of one pcapng block; libpcap has the same limit
CHUNK = 1 << 16  # bytes read from a file at a time

PCAP_UNITS = {0xA1B2C3D4: 10**6, 0xA1B23C4D: 10**9}  # units of time in a second, by the magic number
PCAP_HEADER, PCAP_RECORD = "IHHiIII", "IIII"  # for struct; the byte order stands in front

SECTION, INTERFACE, OLD_PACKET, SIMPLE_PACKET, PACKET = 0x0A0D0D0A, 1, 2, 3, 6  # pcapng block types
BYTE_ORDER = 0x1A2B3C4D
NAME, RESOLUTION, OFFSET = 2, 9, 14  # options of an interface
BLOCK_HEADER, BLOCK_FRAME, PACKET_HEADER = 8, 12, 20  # sizes in bytes


class NotACapture(ValueError):
    """The data isn't a capture in a supported format."""


class Frame(NamedTuple):
    """One captured frame. ``size`` is its length on the wire, ``data`` the bytes captured of it."""

    at: float  # seconds since the epoch
    size: int
    data: bytes


# --- pcap ------------------------------------------------------------------------------------------


class PcapStream:
    """Decodes a pcap stream that arrives in pieces of any size."""

    def __init__(self, name: str = "this stream") -> None:
        """``name`` stands in error messages."""
        self._name = name
        self._record: struct.Struct | None = None  # known when the file header is complete
        self._units = 1
        self._rest = b""
        self.count = 0  # frames so far

    @property
    def started(self) -> bool:
        """Whether the file header has arrived."""
        return self._record is not None

    def feed(self, data: bytes) -> list[Frame]:
        """The frames that ``data`` completes. Raises NotACapture."""
        self._rest += data
        if self._record is None and not self._read_header():
            return []
        frames, used = [], 0
        while (found := self._frame(used)) is not None:
            frame, used = found
            frames.append(frame)
        self._rest = self._rest[used:]
        self.count += len(frames)
        return frames

    def _read_header(self) -> bool:
        size = struct.calcsize("=" + PCAP_HEADER)
        if len(self._rest) < size:
            return False
        order = _byte_order(self._rest[:4], tuple(PCAP_UNITS), self._name)
        magic, *_ = struct.unpack_from(order + PCAP_HEADER, self._rest)
        self._record, self._units = struct.Struct(order + PCAP_RECORD), PCAP_UNITS[magic]
        self._rest = self._rest[size:]
        return True

    def _frame(self, start: int) -> tuple[Frame, int] | None:
        """The frame that begins at ``start`` and the position after it; None if it is incomplete."""
        assert self._record is not None
        begin = start + self._record.size
        if len(self._rest) < begin:
            return None
        seconds, fraction, captured, size = self._record.unpack_from(self._rest, start)
        _check_size(captured, self._name)
        end = begin + captured
        if len(self._rest) < end:
            return None
        return Frame(seconds + fraction / self._units, size, self._rest[begin:end]), end


def _byte_order(magic: bytes, known: tuple[int, ...], name: str) -> str:
    """The byte order in which ``magic`` is one of the ``known`` numbers, as struct writes it."""
    for order, endian in (("<", "little"), (">", "big")):
        if int.from_bytes(magic, endian) in known:  # type: ignore[arg-type]  # both are literals
            return order
    raise NotACapture(f"{name} is no capture")


def _check_size(captured: int, name: str) -> None:
    """Raises NotACapture before a frame of an impossible size takes memory."""
    if captured > MAX_FRAME:
        raise NotACapture(f"{name}: a frame of {captured} bytes")


# --- pcapng: writing -------------------------------------------------------------------------------


class Writer:
    """Writes a pcapng file with one interface, frame by frame; times are in microseconds, the default."""

    def __init__(self, file: IO[bytes], interface: str) -> None:
        self._file = file
        self._write(SECTION, struct.pack("<IHHq", BYTE_ORDER, 1, 0, -1))  # version 1.0, of unknown length
        name = interface.encode()
        options = struct.pack("<HH", NAME, len(name)) + _padded(name) + bytes(4) if name else b""
        self._write(INTERFACE, struct.pack("<HHI", ETHERNET, 0, 0) + options)  # 0: no snapshot length

    def write(self, frame: Frame) -> None:
        """Appends one frame."""
        high, low = divmod(round(frame.at * 1e6), 1 << 32)
        header = struct.pack("<IIIII", 0, high, low, len(frame.data), frame.size)
        self._write(PACKET, header + _padded(frame.data))

    def _write(self, kind: int, body: bytes) -> None:
        length = len(body) + BLOCK_FRAME
        self._file.write(struct.pack("<II", kind, length) + body + struct.pack("<I", length))


def _padded(data: bytes) -> bytes:
    return data + bytes(-len(data) % 4)


def write(path: Path, interface: str, frames: Iterable[Frame]) -> None:
    """Writes a pcapng file; it appears under its name only when it is complete."""
    temporary = path.with_name(path.name + ".part")
    with open(temporary, "wb") as file:
        writer = Writer(file, interface)
        for frame in frames:
            writer.write(frame)
    temporary.replace(path)


# --- files: reading --------------------------------------------------------------------------------


def read(path: Path) -> Iterator[Frame]:
    """The frames of a pcap or pcapng file, whichever program wrote it. A truncated file has its whole frames.

    Raises NotACapture, OSError.
    """
    with open(path, "rb") as file:
        magic = file.read(4)
        file.seek(0)
        if magic == SECTION.to_bytes(4):
            yield from _PcapngReader(file, path.name).frames()
        else:
            yield from _pcap_frames(file, path.name)


def _pcap_frames(file: IO[bytes], name: str) -> Iterator[Frame]:
    stream = PcapStream(name)
    while data := file.read(CHUNK):
        yield from stream.feed(data)
    if not stream.started:
        raise NotACapture(f"{name} is no capture")


class _Interface(NamedTuple):
    units: int = 10**6  # of time in a second
    offset: int = 0  # seconds to add


class _PcapngReader:
    """Reads a pcapng file block by block, so that only one block is in memory."""

    def __init__(self, file: IO[bytes], name: str) -> None:
        self._file = file
        self._name = name
        self._order = ""  # of the current section
        self._interfaces: list[_Interface] = []  # of the current section
        self._end = 0  # of the last whole block

    def frames(self) -> Iterator[Frame]:
        while (block := self._block()) is not None:
            kind, body = block
            try:
                if kind == INTERFACE:
                    self._interfaces.append(self._interface(body))
                elif kind in (PACKET, OLD_PACKET):
                    yield self._packet(kind, body)
            except (struct.error, IndexError):  # shorter than its type requires; an unknown interface
                raise self._broken() from None
            if kind == SIMPLE_PACKET:
                raise NotACapture(f"{self._name}: a packet without a time")
            self._end += len(body) + BLOCK_FRAME

    def _block(self) -> tuple[int, bytes] | None:
        """The type and the body of the next block; None at the end and if the rest is incomplete."""
        header = self._file.read(BLOCK_HEADER)
        if header[:4] == SECTION.to_bytes(4):
            self._begin_section()
        if len(header) < BLOCK_HEADER or not self._order:
            return None
        kind, length = struct.unpack(self._order + "II", header)
        if not BLOCK_FRAME <= length <= MAX_BLOCK or length % 4:
            raise self._broken()
        rest = self._file.read(length - BLOCK_HEADER)
        if len(rest) < length - BLOCK_HEADER:
            return None
        body, trailer = rest[:-4], rest[-4:]
        if trailer != header[4:]:
            raise self._broken()
        return kind, body

    def _begin_section(self) -> None:
        """A section has its own byte order, and interfaces of its own."""
        magic = self._file.read(4)
        self._file.seek(-len(magic), 1)
        if len(magic) == 4 or not self._order:
            self._order = _byte_order(magic, (BYTE_ORDER,), self._name)
        self._interfaces = []

    def _interface(self, body: bytes) -> _Interface:
        struct.unpack_from(self._order + "HHI", body)  # link type, reserved, snapshot length
        options = dict(self._options(body[8:]))
        resolution = options.get(RESOLUTION, b"\x06")[0]
        base, exponent = (2, resolution & 0x7F) if resolution & 0x80 else (10, resolution)
        offset = struct.unpack(self._order + "q", options[OFFSET])[0] if OFFSET in options else 0
        return _Interface(base**exponent, offset)

    def _options(self, data: bytes) -> Iterator[tuple[int, bytes]]:
        while len(data) >= 4:
            code, length = struct.unpack_from(self._order + "HH", data)
            if code == 0:  # the end of the options
                return
            yield code, data[4 : 4 + length]
            data = data[4 + length + -length % 4 :]

    def _packet(self, kind: int, body: bytes) -> Frame:
        number, high, low, captured, size = struct.unpack_from(self._order + "IIIII", body)
        if kind == OLD_PACKET:  # its first field is two: the interface, and a count of dropped packets
            (number,) = struct.unpack_from(self._order + "H", body)
        _check_size(captured, self._name)
        if PACKET_HEADER + captured > len(body):
            raise self._broken()
        interface = self._interfaces[number]
        seconds, fraction = divmod(high << 32 | low, interface.units)
        at = seconds + interface.offset + fraction / interface.units
        return Frame(at, size, body[PACKET_HEADER : PACKET_HEADER + captured])

    def _broken(self) -> NotACapture:
        return NotACapture(f"{self._name} is broken after {self._end} bytes")
