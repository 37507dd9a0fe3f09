"""A pcap stream is decoded in pieces of any size; pcapng files work with other programs, both ways."""

import ast
import itertools
import struct
from pathlib import Path

import pytest
from dpkt import pcapng
from hypothesis import example, given
from hypothesis import strategies as st

from lab.evidence.packets import pcap
from lab.evidence.packets.pcap import Frame, NotACapture, PcapStream

ROOT = Path(__file__).parents[3]

MICRO, NANO = 0xA1B2C3D4, 0xA1B23C4D
FRAMES = [
    Frame(1_795_000_000.25, 60, b"a" * 60),
    Frame(1_795_000_001.5, 1500, b"b" * 255),
    Frame(2.0, 0, b""),
]


def pcap_stream(order="<", magic=MICRO, frames=FRAMES):
    scale = 10**6 if magic == MICRO else 10**9
    data = struct.pack(order + "IHHiIII", magic, 2, 4, 0, 0, 256, 1)
    for at, size, body in frames:
        fraction = round((at - int(at)) * scale)
        data += struct.pack(order + "IIII", int(at), fraction, len(body), size) + body
    return data


@pytest.fixture
def written(tmp_path):
    """A file with FRAMES, written by us."""
    pcap.write(tmp_path / "a.pcapng", "eth0", FRAMES)
    return tmp_path / "a.pcapng"


# --- the stream ------------------------------------------------------------------------------------


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("magic", [MICRO, NANO])
def test_every_kind_of_pcap_is_read(order, magic, tmp_path):
    (tmp_path / "a.pcap").write_bytes(pcap_stream(order, magic))
    assert PcapStream().feed(pcap_stream(order, magic)) == FRAMES
    assert list(pcap.read(tmp_path / "a.pcap")) == FRAMES


@given(st.lists(st.integers(0, 500), max_size=10))
def test_a_stream_may_be_cut_anywhere(cuts):
    data, stream = pcap_stream(), PcapStream()
    edges = [0, *sorted(min(cut, len(data)) for cut in cuts), len(data)]
    found = [f for start, end in zip(edges, edges[1:], strict=False) for f in stream.feed(data[start:end])]
    assert found == FRAMES
    assert stream.count == len(FRAMES)


def test_a_frame_is_returned_as_soon_as_it_is_complete():
    data, stream = pcap_stream(), PcapStream()
    first = 24 + 16 + 60
    assert stream.feed(data[: first - 1]) == []
    assert stream.feed(data[first - 1 : first]) == FRAMES[:1]


def test_a_frame_of_the_largest_size_is_read():
    frame = Frame(1.0, pcap.MAX_FRAME, bytes(pcap.MAX_FRAME))
    assert PcapStream().feed(pcap_stream(frames=[frame])) == [frame]


@pytest.mark.parametrize(
    "data",
    [
        b"x" * 24,
        b"\n\r\r\n" + bytes(20),  # pcapng: tcpdump doesn't stream it
        pcap_stream()[:24] + struct.pack("<IIII", 1, 1, pcap.MAX_FRAME + 1, 1),
        pcap_stream()[:24] + struct.pack("<IIII", 1, 1, 0xFFFFFFFF, 1),
    ],
)
def test_a_wrong_header_and_a_frame_that_is_too_large_are_refused_at_once(data):
    with pytest.raises(NotACapture):
        PcapStream().feed(data)


# --- files -----------------------------------------------------------------------------------------


def test_a_written_file_is_read_back(written):
    assert list(pcap.read(written)) == FRAMES
    assert [path.name for path in written.parent.iterdir()] == ["a.pcapng"]


@given(st.integers(0, 2**32 * 10**6))
@example(2_200_000_000_000_003)  # int(seconds * 1e6) is one less
def test_a_time_is_kept_to_the_microsecond(tmp_path_factory, micros):
    path = tmp_path_factory.getbasetemp() / "time.pcapng"
    pcap.write(path, "eth0", [Frame(micros / 1e6, 1, b"x")])
    (frame,) = pcap.read(path)
    assert round(frame.at * 1e6) == micros


def test_dpkt_finds_the_frames_their_lengths_and_the_interface(written):
    blocks = list(pcapng_blocks(written.read_bytes()))
    assert [type(block).__name__ for block in blocks] == [
        "SectionHeaderBlockLE",
        "InterfaceDescriptionBlockLE",
        *["EnhancedPacketBlockLE"] * 3,
    ]
    options = {option.code: option.data for option in blocks[1].opts}
    assert options[pcapng.PCAPNG_OPT_IF_NAME] == b"eth0"
    times = [(block.ts_high << 32 | block.ts_low) / 1e6 for block in blocks[2:]]
    found = [(block.pkt_len, block.pkt_data) for block in blocks[2:]]
    assert [Frame(at, *rest) for at, rest in zip(times, found, strict=True)] == FRAMES


def pcapng_blocks(data):
    kinds = {
        pcapng.PCAPNG_BT_SHB: pcapng.SectionHeaderBlockLE,
        pcapng.PCAPNG_BT_IDB: pcapng.InterfaceDescriptionBlockLE,
        pcapng.PCAPNG_BT_EPB: pcapng.EnhancedPacketBlockLE,
    }
    while data:
        kind, length = struct.unpack_from("<II", data)
        yield kinds[kind](data[:length])
        data = data[length:]


def test_a_file_of_another_writer_is_read(tmp_path):
    with open(tmp_path / "a.pcapng", "wb") as file:
        writer = pcapng.Writer(file)
        for frame in FRAMES[:2]:
            writer.writepkt(frame.data, frame.at)
    assert [(f.at, f.data) for f in pcap.read(tmp_path / "a.pcapng")] == [(f.at, f.data) for f in FRAMES[:2]]


def test_big_endian_and_nanoseconds_are_read(tmp_path):
    resolution = pcapng.PcapngOption(code=pcapng.PCAPNG_OPT_IF_TSRESOL, data=b"\x09")
    interface = pcapng.InterfaceDescriptionBlock(opts=[resolution, pcapng.PcapngOption(code=0)])
    nanos = 1_795_000_000_250_000_000
    packet = pcapng.EnhancedPacketBlock(ts_high=nanos >> 32, ts_low=nanos & 0xFFFFFFFF, pkt_data=b"abc")
    data = b"".join(map(bytes, [pcapng.SectionHeaderBlock(), interface, packet]))
    data = data.replace(struct.pack(">II", 3, 3), struct.pack(">II", 3, 9))  # dpkt can't write a cut packet
    (tmp_path / "a.pcapng").write_bytes(data)
    assert list(pcap.read(tmp_path / "a.pcapng")) == [Frame(1_795_000_000.25, 9, b"abc")]


def test_a_truncated_file_has_its_whole_frames(written):
    data = written.read_bytes()
    sizes = [len(bytes(block)) for block in pcapng_blocks(data)]
    _, header, *ends = itertools.accumulate(sizes)
    for cut in range(header, len(data)):
        written.write_bytes(data[:cut])
        assert list(pcap.read(written)) == FRAMES[: sum(end <= cut for end in ends)]


def test_a_truncated_pcap_file_has_its_whole_frames(tmp_path):
    (tmp_path / "a.pcap").write_bytes(pcap_stream(frames=FRAMES[:2])[:-1])
    assert list(pcap.read(tmp_path / "a.pcap")) == FRAMES[:1]


@pytest.mark.parametrize("data", [b"", b"no capture at all", b"\n\r\r\n\x1c\0\0\0" + bytes(20)])
def test_other_data_is_refused(tmp_path, data):
    (tmp_path / "a.pcapng").write_bytes(data)
    with pytest.raises(NotACapture, match="^a.pcapng is not a capture file$"):
        list(pcap.read(tmp_path / "a.pcapng"))


def test_a_broken_block_is_not_taken_for_the_end(written):
    data = written.read_bytes()
    written.write_bytes(data + struct.pack("<II", 6, 8) + data)
    with pytest.raises(NotACapture, match=f"^a.pcapng is broken after {len(data)} bytes$"):
        list(pcap.read(written))


def section(*blocks, order="<"):
    """A pcapng file: a section header and these blocks, each a type and a body."""
    header = (0x0A0D0D0A, struct.pack(order + "IHHq", 0x1A2B3C4D, 1, 0, -1))
    return b"".join(
        struct.pack(order + "II", kind, len(body) + 12) + body + struct.pack(order + "I", len(body) + 12)
        for kind, body in (header, *blocks)
    )


def interface(*options, order="<"):
    """An interface block; each option is a code and its value."""
    body = struct.pack(order + "HHI", 1, 0, 0)
    for code, value in options:
        body += struct.pack(order + "HH", code, len(value)) + value + bytes(-len(value) % 4)
    return 1, body + bytes(4)


def packet(ticks, *, number=0, data=b"abcd", captured=None, order="<"):
    size = len(data) if captured is None else captured
    return 6, struct.pack(order + "IIIII", number, ticks >> 32, ticks & 0xFFFFFFFF, size, 1500) + data


@pytest.mark.parametrize("order", ["<", ">"])
def test_the_units_and_the_offset_of_an_interface_count(tmp_path, order):
    binary = interface((9, b"\x8a"), order=order)  # 2^-10 s
    shifted = interface((9, b"\x03"), (14, struct.pack(order + "q", 100)), order=order)  # ms, 100 s later
    blocks = binary, shifted, packet(5 * 1024 + 256, order=order), packet(1500, number=1, order=order)
    (tmp_path / "a.pcapng").write_bytes(section(*blocks, order=order))
    assert [frame.at for frame in pcap.read(tmp_path / "a.pcapng")] == [5.25, 101.5]


def test_unknown_blocks_are_skipped_and_a_new_section_begins_anew(tmp_path):
    first = section(interface(), (0xBAD, b"skipped!"), packet(10**6))
    second = section(interface((9, b"\x03"), order=">"), packet(2000, order=">"), order=">")
    (tmp_path / "a.pcapng").write_bytes(first + second)
    assert [frame.at for frame in pcap.read(tmp_path / "a.pcapng")] == [1.0, 2.0]


@pytest.mark.parametrize(
    ("block", "message"),
    [
        ((3, bytes(4)), "a packet without a time"),
        (packet(1, captured=pcap.MAX_FRAME + 1), f"a frame of {pcap.MAX_FRAME + 1} bytes"),
        (packet(1, captured=5), "is broken after 52 bytes"),
        (packet(1, number=1), "is broken after 52 bytes"),
        ((6, bytes(8)), "is broken after 52 bytes"),
        ((1, b""), "is broken after 52 bytes"),
    ],
)
def test_a_block_that_contradicts_itself_is_refused(tmp_path, block, message):
    (tmp_path / "a.pcapng").write_bytes(section(interface(), block))
    with pytest.raises(NotACapture, match=message):
        list(pcap.read(tmp_path / "a.pcapng"))


def test_the_length_of_a_block_is_checked_before_the_block_is_read(tmp_path):
    with open(tmp_path / "a.pcapng", "wb") as file:
        file.write(section(interface()) + struct.pack("<II", 6, 1 << 30))
        file.truncate(2 << 30)  # sparse
    with pytest.raises(NotACapture, match="is broken after 52 bytes"):
        list(pcap.read(tmp_path / "a.pcapng"))


# --- the library -----------------------------------------------------------------------------------


@pytest.mark.parametrize("folder", ["lab", "docs", "scenarios", "benchmarks"])
def test_scapy_is_not_imported(folder):
    imported = {
        name.partition(".")[0]
        for path in (ROOT / folder).rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        for name in (
            [alias.name for alias in node.names] if isinstance(node, ast.Import)
            else [node.module or ""] if isinstance(node, ast.ImportFrom) else []
        )
    }  # fmt: skip
    assert "pathlib" in imported
    assert "scapy" not in imported
