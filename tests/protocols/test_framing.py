"""Frames: whole, byte by byte, with trailing data, truncated, and from a hostile peer."""

import json
import math
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lab.protocols.errors import LocalProtocolError, RemoteProtocolError, TruncatedError
from lab.protocols.framing import (
    MAX_HEADER,
    MAX_INTEGER,
    MAX_NESTING,
    Decoder,
    End,
    Header,
    Payload,
    encode,
    encode_header,
)

texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
scalars = (
    st.none()
    | st.booleans()
    | st.integers(0, MAX_INTEGER)
    | texts
    | st.floats(allow_nan=False, allow_infinity=False)
)
values = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=8,
)
field_sets = st.dictionaries(texts.filter(lambda key: key != "total_size"), values, max_size=4)
frame_lists = st.lists(st.tuples(field_sets, st.binary(max_size=200)), min_size=1, max_size=4)


def raw_frame(header: bytes, length: int | None = None) -> bytes:
    return struct.pack("<i", len(header) if length is None else length) + header


def decode(chunks, decoder=None):
    """The complete frames, and the decoder's event at the end of the stream."""
    decoder = decoder or Decoder()
    frames, payload, fields = [], b"", None
    for chunk in chunks:
        for event in decoder.feed(chunk):
            match event:
                case Header(fields=found):
                    fields, payload = found, b""
                case Payload(data=data):
                    assert data
                    payload += data
                case End():
                    assert len(payload) == fields["total_size"]
                    frames.append((fields, payload))
    return frames, decoder


def expected(frames):
    return [({**fields, "total_size": len(payload)}, payload) for fields, payload in frames]


def cut(data: bytes, places) -> list[bytes]:
    edges = [0, *sorted(place % (len(data) + 1) for place in places), len(data)]
    return [data[start:end] for start, end in zip(edges, edges[1:], strict=False)]


@given(frame_lists)
def test_frames_arrive_whole(frames):
    data = b"".join(encode(*frame) for frame in frames)
    found, decoder = decode([data])
    assert found == expected(frames)
    assert decoder.between_frames
    decoder.end()


@given(frame_lists)
def test_frames_arrive_byte_by_byte(frames):
    data = b"".join(encode(*frame) for frame in frames)
    found, _ = decode(data[place : place + 1] for place in range(len(data)))
    assert found == expected(frames)


@given(frame_lists, st.lists(st.integers(0, 10_000), max_size=6))
def test_frames_arrive_in_any_chunks(frames, places):
    data = b"".join(encode(*frame) for frame in frames)
    assert decode(cut(data, places))[0] == expected(frames)


@given(field_sets, st.binary(max_size=50), st.binary(min_size=1, max_size=3))
def test_trailing_data_belongs_to_the_next_frame(fields, payload, trailing):
    found, decoder = decode([encode(fields, payload) + trailing])
    assert found == expected([(fields, payload)])
    assert decoder.in_header
    assert decoder.wanted == 4 - len(trailing)
    with pytest.raises(TruncatedError):
        decoder.end()


@given(field_sets, st.binary(max_size=50), st.data())
def test_a_truncated_frame_is_never_complete(fields, payload, data):
    whole = encode(fields, payload)
    short = whole[: data.draw(st.integers(1, len(whole) - 1))]
    found, decoder = decode([short])
    assert found == []
    with pytest.raises(TruncatedError):
        decoder.end()


def test_an_empty_stream_is_no_truncated_frame():
    Decoder().end()


@given(frame_lists)
def test_a_reader_of_exactly_the_wanted_bytes_never_reads_past_a_frame(frames):
    """As in a transfer: headers through the decoder, payloads directly into a file."""
    data = b"".join(encode(*frame) for frame in frames)
    place, decoder, found = 0, Decoder(), []
    for _ in frames:
        header = None
        while header is None:
            wanted = decoder.wanted
            chunk = data[place : place + wanted]
            place += len(chunk)
            events = list(decoder.feed(chunk))
            header = next((event for event in events if isinstance(event, Header)), None)
        payload = b""
        while header.total_size and decoder.wanted:
            size = min(decoder.wanted, 7)
            payload += data[place : place + size]
            place += size
            if decoder.took(size):
                break
        found.append((header.fields, payload))
        assert decoder.between_frames
    assert found == expected(frames)
    assert place == len(data)


@pytest.mark.parametrize("count", [-1, 6, 10**9])
def test_taking_more_payload_than_declared_is_refused(count):
    decoder = Decoder()
    list(decoder.feed(encode_header({"total_size": 5})))
    with pytest.raises(LocalProtocolError) as caught:
        decoder.took(count)
    assert caught.value.code == "took-too-much"
    assert not decoder.took(4)
    assert decoder.took(1)


def test_taking_payload_before_its_header_is_refused():
    with pytest.raises(LocalProtocolError):
        Decoder().took(1)


def test_a_payload_is_passed_on_in_pieces_and_not_buffered():
    decoder = Decoder()
    size = 1 << 40  # a tebibyte is declared; what arrives is passed on
    events = list(decoder.feed(encode_header({"total_size": size}) + b"x" * 1000))
    assert events == [Header({"total_size": size}), Payload(b"x" * 1000)]
    assert decoder.wanted == size - 1000
    assert list(decoder.feed(b"")) == []


@pytest.mark.parametrize(
    ("length", "code"),
    [
        (-(2**31), "header-too-short"),
        (-1, "header-too-short"),
        (0, "header-too-short"),
        (1, "header-too-short"),
        (MAX_HEADER + 1, "header-too-long"),
        (2**31 - 1, "header-too-long"),
    ],
)
def test_a_length_outside_the_limits_is_refused_before_the_header_arrives(length, code):
    decoder = Decoder()
    prefix = struct.pack("<i", length)
    assert list(decoder.feed(prefix[:3])) == []
    with pytest.raises(RemoteProtocolError) as caught:
        list(decoder.feed(prefix[3:]))
    assert caught.value.code == code


def test_other_protocols_are_refused_by_their_first_four_bytes():
    for hello in (b"GET / HTTP/1.1\r\n", b"SSH-2.0-x\r\n", b"ls -l\n", "上海".encode()):
        with pytest.raises(RemoteProtocolError) as caught:
            decode([hello])
        assert caught.value.code in ("header-too-long", "header-too-short")


def nested(depth):
    """A header nested ``depth`` levels deep, including itself."""
    return b'{"total_size":0,"x":' + b"[" * (depth - 1) + b"]" * (depth - 1) + b"}"


HOSTILE = {
    "not JSON": b"xx",
    "nothing but spaces": b"    ",
    "not an object": b"[]",
    "a number": b"12",
    "a string": b'"total_size"',
    "cut short": b'{"total_size": 0',
    "something behind it": b'{"total_size":0}x',
    "two objects": b'{"total_size":0}{}',
    "no total_size": b"{}",
    "total_size null": b'{"total_size":null}',
    "total_size a bool": b'{"total_size":true}',
    "total_size a string": b'{"total_size":"1"}',
    "total_size a float": b'{"total_size":1.0}',
    "total_size an exponent": b'{"total_size":1e3}',
    "total_size negative": b'{"total_size":-1}',
    "total_size too large": b'{"total_size":9007199254740993}',
    "total_size astronomic": b'{"total_size":' + b"9" * 60_000 + b"}",
    "an integer too large": b'{"total_size":0,"x":[{"y":9007199254740993}]}',
    "an integer below 0": b'{"total_size":0,"x":-5}',
    "a key twice": b'{"total_size":0,"total_size":0}',
    "a key twice, escaped": b'{"total_size":0,"a":1,"\\u0061":1}',
    "a key twice, inside": b'{"total_size":0,"x":[{"y":1,"y":2}]}',
    "NaN": b'{"total_size":0,"x":NaN}',
    "Infinity": b'{"total_size":0,"x":Infinity}',
    "-Infinity": b'{"total_size":0,"x":-Infinity}',
    "a float too large": b'{"total_size":0,"x":1e999}',
    "not UTF-8": b'{"total_size":0,"x":"\xff"}',
    "overlong UTF-8": b'{"total_size":0,"x":"\xc0\xaf"}',
    "a surrogate in UTF-8": b'{"total_size":0,"x":"\xed\xa0\x80"}',
    "half a surrogate pair": b'{"total_size":0,"x":"\\ud800"}',
    "half a surrogate pair as a key": b'{"total_size":0,"\\udc00":1}',
    "UTF-16": '{"total_size":0}'.encode("utf-16"),
    "a byte order mark": b'\xef\xbb\xbf{"total_size":0}',
    "a control character": b'{"total_size":0,"x":"\n"}',
    "a NUL": b'{"total_size":0}\0',
    "nested too deep": nested(MAX_NESTING + 1),
    "nested far too deep": b"[" * 60_000,
    "objects nested too deep": b'{"x":' * 10_000,
}


@pytest.mark.parametrize("header", HOSTILE.values(), ids=HOSTILE)
@pytest.mark.parametrize("step", [1, 1 << 20], ids=["byte by byte", "whole"])
def test_a_hostile_header_is_refused(header, step):
    data = raw_frame(header)
    decoder = Decoder()
    with pytest.raises(RemoteProtocolError) as caught:
        decode((data[place : place + step] for place in range(0, len(data), step)), decoder)
    assert caught.value.code == "header-invalid"
    assert len(str(caught.value)) < 200
    with pytest.raises(RemoteProtocolError):  # later valid frames don't repair the stream
        list(decoder.feed(encode({})))
    with pytest.raises(RemoteProtocolError):
        decoder.end()


def test_the_limits_are_inclusive():
    longest = json.dumps({"total_size": MAX_INTEGER, "x": ""}, separators=(",", ":")).encode()
    longest = longest[:-2] + b"x" * (MAX_HEADER - len(longest)) + b'"}'
    assert len(longest) == MAX_HEADER
    for header in (longest, nested(MAX_NESTING), b'{"total_size":0,"x":"' + b"[{" * 100 + b'\\""}'):
        (event, *_) = list(Decoder().feed(raw_frame(header)))
        assert event.fields == json.loads(header)


@given(st.binary(max_size=300) | st.binary(min_size=2, max_size=300).map(raw_frame))
def test_garbage_causes_only_remote_errors(data):
    decoder = Decoder()
    try:
        decode([data], decoder)
        decoder.end()
    except RemoteProtocolError:
        pass


@pytest.mark.parametrize(
    "fields",
    [
        {"x": math.nan},
        {"x": math.inf},
        {"x": -1},
        {"x": MAX_INTEGER + 1},
        {"x": {1, 2}},
        {"x": b"bytes"},
        {"x": "\ud800"},
        {"x": "x" * MAX_HEADER},
        {"x": json.loads("[" * MAX_NESTING + "]" * MAX_NESTING)},
    ],
    ids=repr,
)
def test_invalid_headers_are_not_encoded(fields):
    with pytest.raises(LocalProtocolError):
        encode(fields)


def test_a_header_without_its_total_size_is_not_encoded():
    with pytest.raises(LocalProtocolError):
        encode_header({"op": "put"})


def test_the_wire_format_is_as_documented():
    assert encode({"op": "你"}, b"abc") == b'\x1f\0\0\0{"op":"\xe4\xbd\xa0","total_size":3}abc'.replace(
        b"\x1f", bytes([len('{"op":"你","total_size":3}'.encode())])
    )
