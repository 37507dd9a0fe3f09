"""tcpdump's stream is taken apart however it is cut; pcapng is written so that others can read it."""

import io
import struct

import dpkt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lab.evidence import pcap
from lab.evidence.pcap import Frame, NotACapture, PcapStream

FRAMES = [
    Frame(1_795_000_000.25, 60, b"a" * 60),
    Frame(1_795_000_001.5, 1500, b"b" * 256),
    Frame(2.0, 0, b""),
]


def pcap_stream(order="<", magic=pcap.MICRO, frames=FRAMES):
    scale = 10**6 if magic == pcap.MICRO else 10**9
    data = struct.pack(order + "IHHiIII", magic, 2, 4, 0, 0, 256, 1)
    for at, size, body in frames:
        fraction = round((at - int(at)) * scale)
        data += struct.pack(order + "IIII", int(at), fraction, len(body), size) + body
    return data


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("magic", [pcap.MICRO, pcap.NANO])
def test_every_kind_of_pcap_is_read(order, magic):
    assert PcapStream().feed(pcap_stream(order, magic)) == FRAMES


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


@pytest.mark.parametrize("data", [b"x" * 24, pcap_stream()[:24] + struct.pack("<IIII", 1, 1, 1 << 30, 1)])
def test_what_is_no_pcap_is_refused(data):
    with pytest.raises(NotACapture):
        PcapStream().feed(data)


def test_a_written_file_is_read_back(tmp_path):
    pcap.write(tmp_path / "a.pcapng", "eth0", 256, FRAMES)
    assert list(pcap.read(tmp_path / "a.pcapng")) == FRAMES
    assert [path.name for path in tmp_path.iterdir()] == ["a.pcapng"]


def test_another_reader_understands_it(tmp_path):
    pcap.write(tmp_path / "a.pcapng", "eth0", 256, FRAMES[:2])
    with open(tmp_path / "a.pcapng", "rb") as file:
        reader = dpkt.pcapng.Reader(file)
        assert [(float(at), bytes(data)) for at, data in reader] == [(f.at, f.data) for f in FRAMES[:2]]
        assert reader.snaplen == 256


def test_another_writer_is_understood(tmp_path):
    with open(tmp_path / "a.pcapng", "wb") as file:
        writer = dpkt.pcapng.Writer(file)
        for frame in FRAMES[:2]:
            writer.writepkt(frame.data, frame.at)
    assert [(f.at, f.data) for f in pcap.read(tmp_path / "a.pcapng")] == [(f.at, f.data) for f in FRAMES[:2]]


def test_a_file_that_ends_early_has_its_whole_frames(tmp_path):
    pcap.write(tmp_path / "a.pcapng", "eth0", 256, FRAMES)
    data = (tmp_path / "a.pcapng").read_bytes()
    (tmp_path / "b.pcapng").write_bytes(data[:-8])
    assert list(pcap.read(tmp_path / "b.pcapng")) == FRAMES[:2]


@pytest.mark.parametrize(
    "data", [b"", b"no capture at all", struct.pack("<II", pcap.SECTION, 28) + bytes(20)]
)
def test_what_is_no_pcapng_is_refused(tmp_path, data):
    (tmp_path / "a.pcapng").write_bytes(data)
    with pytest.raises(NotACapture):
        list(pcap.read(tmp_path / "a.pcapng"))


def test_nanoseconds_are_understood(tmp_path):
    file = io.BytesIO()
    pcap.Writer(file, "eth0", 256)
    resolution = struct.pack("<HHB3x", 9, 1, 9) + struct.pack("<HH", 0, 0)
    body = struct.pack("<HHI", 1, 0, 256) + resolution
    section = file.getvalue()[:28]
    nanos = 1_795_000_000_250_000_000
    packet = struct.pack("<IIIII", 0, nanos >> 32, nanos & 0xFFFFFFFF, 0, 9)
    data = section + block(pcap.INTERFACE, body) + block(pcap.ENHANCED, packet)
    (tmp_path / "a.pcapng").write_bytes(data)
    assert list(pcap.read(tmp_path / "a.pcapng")) == [Frame(pytest.approx(1_795_000_000.25), 9, b"")]


def block(kind, body):
    return struct.pack("<II", kind, len(body) + 12) + body + struct.pack("<I", len(body) + 12)
