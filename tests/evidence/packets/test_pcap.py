"""tcpdump's stream is taken apart however it is cut; pcapng is written so that others can read it."""

import itertools
import struct
import subprocess
import sys

import pytest
from dpkt import pcapng
from hypothesis import example, given
from hypothesis import strategies as st

from lab.evidence.packets import pcap
from lab.evidence.packets.pcap import Frame, NotACapture, PcapStream

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
    """A file of FRAMES, as we write it."""
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


def test_a_frame_is_told_as_soon_as_it_is_whole():
    data, stream = pcap_stream(), PcapStream()
    first = 24 + 16 + 60
    assert stream.feed(data[: first - 1]) == []
    assert stream.feed(data[first - 1 : first]) == FRAMES[:1]


def test_the_largest_frame_comes_whole():
    frame = Frame(1.0, pcap.MAX_FRAME, bytes(pcap.MAX_FRAME))
    assert PcapStream().feed(pcap_stream(frames=[frame])) == [frame]


@pytest.mark.parametrize(
    "data",
    [
        b"x" * 24,
        b"\n\r\r\n" + bytes(20),  # pcapng: no stream of ours is that
        pcap_stream()[:24] + struct.pack("<IIII", 1, 1, pcap.MAX_FRAME + 1, 1),
        pcap_stream()[:24] + struct.pack("<IIII", 1, 1, 0xFFFFFFFF, 1),
    ],
)
def test_what_is_no_pcap_is_refused_before_more_of_it_is_kept(data):
    with pytest.raises(NotACapture):
        PcapStream().feed(data)


# --- files -----------------------------------------------------------------------------------------


def test_a_written_file_is_read_back(written):
    assert list(pcap.read(written)) == FRAMES
    assert [path.name for path in written.parent.iterdir()] == ["a.pcapng"]


@given(st.integers(0, 2**32 * 10**6))
@example(2_200_000_000_000_003)  # one of those that int() of seconds times a million makes less
def test_a_time_is_kept_to_the_microsecond(tmp_path_factory, micros):
    path = tmp_path_factory.getbasetemp() / "time.pcapng"
    pcap.write(path, "eth0", [Frame(micros / 1e6, 1, b"x")])
    (frame,) = pcap.read(path)
    assert round(frame.at * 1e6) == micros


def test_another_reader_finds_frames_lengths_and_the_interface(written):
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


def test_another_writer_is_understood(tmp_path):
    with open(tmp_path / "a.pcapng", "wb") as file:
        writer = pcapng.Writer(file)
        for frame in FRAMES[:2]:
            writer.writepkt(frame.data, frame.at)
    assert [(f.at, f.data) for f in pcap.read(tmp_path / "a.pcapng")] == [(f.at, f.data) for f in FRAMES[:2]]


def test_big_endian_and_nanoseconds_are_understood(tmp_path):
    resolution = pcapng.PcapngOption(code=pcapng.PCAPNG_OPT_IF_TSRESOL, data=b"\x09")
    interface = pcapng.InterfaceDescriptionBlock(opts=[resolution, pcapng.PcapngOption(code=0)])
    nanos = 1_795_000_000_250_000_000
    packet = pcapng.EnhancedPacketBlock(ts_high=nanos >> 32, ts_low=nanos & 0xFFFFFFFF, pkt_data=b"abc")
    data = b"".join(map(bytes, [pcapng.SectionHeaderBlock(), interface, packet]))
    data = data.replace(struct.pack(">II", 3, 3), struct.pack(">II", 3, 9))  # dpkt knows no cut packet
    (tmp_path / "a.pcapng").write_bytes(data)
    assert list(pcap.read(tmp_path / "a.pcapng")) == [Frame(1_795_000_000.25, 9, b"abc")]


def test_a_file_that_ends_early_has_its_whole_frames(written):
    data = written.read_bytes()
    sizes = [len(bytes(block)) for block in pcapng_blocks(data)]
    _, header, *ends = itertools.accumulate(sizes)
    for cut in range(header, len(data)):
        written.write_bytes(data[:cut])
        assert list(pcap.read(written)) == FRAMES[: sum(end <= cut for end in ends)]


def test_a_pcap_file_that_ends_early_has_its_whole_frames(tmp_path):
    (tmp_path / "a.pcap").write_bytes(pcap_stream(frames=FRAMES[:2])[:-1])
    assert list(pcap.read(tmp_path / "a.pcap")) == FRAMES[:1]


@pytest.mark.parametrize("data", [b"", b"no capture at all", b"\n\r\r\n\x1c\0\0\0" + bytes(20)])
def test_what_is_no_capture_is_refused(tmp_path, data):
    (tmp_path / "a.pcapng").write_bytes(data)
    with pytest.raises(NotACapture, match="^a.pcapng is no capture$"):
        list(pcap.read(tmp_path / "a.pcapng"))


def test_what_is_broken_before_its_end_is_no_short_capture(written):
    data = written.read_bytes()
    written.write_bytes(data + struct.pack("<II", 6, 8) + data)
    with pytest.raises(NotACapture, match=f"^a.pcapng is broken after {len(data)} bytes$"):
        list(pcap.read(written))


# --- the library -----------------------------------------------------------------------------------


def python(code, *words):
    return subprocess.run(
        [sys.executable, "-c", code, *words], capture_output=True, text=True, timeout=60, check=True
    )


def test_the_library_itself_says_nothing(written):
    written.write_bytes(written.read_bytes()[:-1])
    code = (
        "import pathlib, sys; from lab.evidence.packets import pcap; "
        "print(*pcap.read(pathlib.Path(sys.argv[1])))"
    )
    done = python(code, str(written))
    assert (done.stdout.count("Frame("), done.stderr) == (2, "")


def test_the_library_is_not_loaded_where_no_capture_is_handled():
    done = python("import sys, lab.cli.app, lab.scenarios.play; print('scapy' in sys.modules)")
    assert done.stdout == "False\n"
