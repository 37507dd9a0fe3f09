"""Capture files: the decoder of tcpdump's pcap stream, and a reader and a writer of pcapng files.

tcpdump streams pcap. A run keeps pcapng, because it names the interface of each packet. dpkt decodes the
blocks of a pcapng file; its Reader and Writer aren't used, because they lose a packet's length on the wire.

Specifications: draft-ietf-opsawg-pcap and draft-ietf-opsawg-pcapng (sections 3.1 and 4).
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import IO, Any, NamedTuple

import dpkt  # type: ignore[import-untyped]
from dpkt import pcapng

MAX_FRAME = 262_144  # bytes captured of one frame: the largest snapshot length that tcpdump accepts
MAX_BLOCK = 16 << 20  # bytes of one pcapng block; libpcap has the same limit
CHUNK = 1 << 16  # bytes read from a file at a time

PCAP_UNITS = {0xA1B2C3D4: 10**6, 0xA1B23C4D: 10**9}  # units of time in a second, by the magic number
PCAP_HEADER, PCAP_RECORD = "IHHiIII", "IIII"  # struct formats, without the byte order

SECTION, INTERFACE, OLD_PACKET, SIMPLE_PACKET, PACKET = 0x0A0D0D0A, 1, 2, 3, 6  # pcapng block types
BYTE_ORDER = 0x1A2B3C4D
BLOCK_HEADER, BLOCK_FRAME = 8, 12  # bytes before the body of a block; bytes before and after it in total
PACKET_FRAME = 32  # bytes around the data of a packet block
BLOCKS: dict[str, dict[int, Any]] = {
    "<": {
        INTERFACE: pcapng.InterfaceDescriptionBlockLE,
        OLD_PACKET: pcapng.PacketBlockLE,
        PACKET: pcapng.EnhancedPacketBlockLE,
    },
    ">": {
        INTERFACE: pcapng.InterfaceDescriptionBlock,
        OLD_PACKET: pcapng.PacketBlock,
        PACKET: pcapng.EnhancedPacketBlock,
    },
}


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
        """``name`` is used in error messages."""
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
        """Returns the frames that ``data`` completes. Raises NotACapture."""
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
    """The byte order, in struct's notation, in which ``magic`` is one of the ``known`` numbers."""
    for order, endian in (("<", "little"), (">", "big")):
        if int.from_bytes(magic, endian) in known:  # type: ignore[arg-type]  # both are literals
            return order
    raise NotACapture(f"{name} is not a capture file")


def _check_size(captured: int, name: str) -> None:
    """Raises NotACapture for an impossible size, before memory is allocated for the frame."""
    if captured > MAX_FRAME:
        raise NotACapture(f"{name}: a frame of {captured} bytes")


# --- pcapng: writing -------------------------------------------------------------------------------


class Writer:
    """Writes a pcapng file with one interface, frame by frame; times are in microseconds, the default."""

    def __init__(self, file: IO[bytes], interface: str) -> None:
        self._file = file
        described = pcapng.InterfaceDescriptionBlockLE(snaplen=0)  # 0: no snapshot length
        if interface:
            name = pcapng.PcapngOptionLE(code=pcapng.PCAPNG_OPT_IF_NAME, data=interface.encode())
            described.opts = [name, pcapng.PcapngOptionLE(code=pcapng.PCAPNG_OPT_ENDOFOPT)]
        file.write(bytes(pcapng.SectionHeaderBlockLE()) + bytes(described))

    def write(self, frame: Frame) -> None:
        """Appends one frame. dpkt's block isn't used: it stores the captured length as that on the wire."""
        high, low = divmod(round(frame.at * 1e6), 1 << 32)
        data = frame.data + bytes(-len(frame.data) % 4)
        length = PACKET_FRAME + len(data)
        fields = (PACKET, length, 0, high, low, len(frame.data), frame.size)
        self._file.write(struct.pack("<7I", *fields) + data + struct.pack("<I", length))


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
    """The frames of a pcap or pcapng file of any program; of a truncated file, those that are complete.

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
        raise NotACapture(f"{name} is not a capture file")


class _Interface(NamedTuple):
    """The timestamp resolution and offset of an interface."""

    units: int = 10**6  # per second
    offset: int = 0  # seconds to add

    def time(self, count: int) -> float:
        seconds, fraction = divmod(count, self.units)
        return seconds + self.offset + fraction / self.units


class _PcapngReader:
    """Reads a pcapng file block by block, so that only one block is in memory; dpkt decodes the blocks."""

    def __init__(self, file: IO[bytes], name: str) -> None:
        self._file = file
        self._name = name
        self._order = ""  # of the current section
        self._interfaces: list[_Interface] = []  # of the current section
        self._end = 0  # the position after the last complete block

    def frames(self) -> Iterator[Frame]:
        while (found := self._block()) is not None:
            kind, block = found
            try:
                if kind == INTERFACE:
                    self._interfaces.append(self._interface(BLOCKS[self._order][kind](block)))
                elif kind in (PACKET, OLD_PACKET):
                    yield self._frame(BLOCKS[self._order][kind](block))
            except (dpkt.UnpackError, struct.error, IndexError, UnicodeDecodeError):
                raise self._broken() from None  # too short for its type, or of an unknown interface
            if kind == SIMPLE_PACKET:
                raise NotACapture(f"{self._name}: a packet without a time")
            self._end += len(block)

    def _block(self) -> tuple[int, bytes] | None:
        """The type and the bytes of the next block; None at the end of the file or if it is incomplete."""
        header = self._file.read(BLOCK_HEADER)
        if header[:4] == SECTION.to_bytes(4):
            self._begin_section()
        if len(header) < BLOCK_HEADER or not self._order:
            return None
        kind, length = struct.unpack(self._order + "II", header)
        if not BLOCK_FRAME <= length <= MAX_BLOCK or length % 4:
            raise self._broken()
        block = header + self._file.read(length - BLOCK_HEADER)
        if len(block) < length:
            return None
        if block[-4:] != header[4:]:
            raise self._broken()
        return kind, block

    def _begin_section(self) -> None:
        """Starts a section, which has its own byte order and interfaces."""
        magic = self._file.read(4)
        self._file.seek(-len(magic), 1)
        if len(magic) == 4 or not self._order:
            self._order = _byte_order(magic, (BYTE_ORDER,), self._name)
        self._interfaces = []

    def _interface(self, block: Any) -> _Interface:
        options = {option.code: option.data for option in block.opts}
        resolution = options.get(pcapng.PCAPNG_OPT_IF_TSRESOL, b"\x06")[0]
        base, exponent = (2, resolution & 0x7F) if resolution & 0x80 else (10, resolution)
        (offset,) = struct.unpack(self._order + "q", options.get(pcapng.PCAPNG_OPT_IF_TSOFFSET, bytes(8)))
        return _Interface(base**exponent, offset)

    def _frame(self, block: Any) -> Frame:
        _check_size(block.caplen, self._name)
        if block.caplen > block.len - block.__hdr_len__:
            raise self._broken()
        interface = self._interfaces[block.iface_id]
        return Frame(interface.time(block.ts_high << 32 | block.ts_low), block.pkt_len, block.pkt_data)

    def _broken(self) -> NotACapture:
        return NotACapture(f"{self._name} is broken after {self._end} bytes")
