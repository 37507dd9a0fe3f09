"""The answers to remote commands without I/O: whole, byte by byte, truncated, hostile."""

import hashlib
import json
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lab.protocols import framing
from lab.protocols.command_answers import (
    DECODERS,
    Exit,
    FrameAnswerDecoder,
    FrameAnswerEncoder,
    HeaderAnswerDecoder,
    LengthAnswerDecoder,
    Output,
    encode_error,
    tutorial_order,
    tutorial_prefix,
    tutorial_refusal,
)
from lab.protocols.errors import ProtocolError, RemoteProtocolError, TruncatedError

PIECES = st.lists(st.tuples(st.sampled_from(["stdout", "stderr"]), st.binary(min_size=1, max_size=300)))
ENDINGS = st.one_of(
    st.builds(Exit, exit_code=st.integers(0, 255), truncated=st.booleans(), limit=st.just(30.0)),
    st.builds(Exit, signal=st.integers(1, 64), timed_out=st.booleans(), cancelled=st.booleans()),
)


def cut(data, sizes):
    """``data`` in parts of the given sizes, then the rest."""
    for size in sizes:
        yield data[:size]
        data = data[size:]
    yield data


def outputs(events):
    """The output of ``events`` by stream, joined."""
    joined = {"stdout": b"", "stderr": b""}
    for event in events:
        if isinstance(event, Output):
            joined[event.stream] += event.data
    return joined


def joined(pieces):
    return outputs(Output(stream, data) for stream, data in pieces)


def frame_answer(pieces, ending, encoding="utf-8"):
    answer = FrameAnswerEncoder(encoding)
    return b"".join(answer.output(stream, data) for stream, data in pieces) + answer.exit(ending)


def header_answer(stdout, stderr, ending):
    digest = hashlib.md5(stdout + stderr).hexdigest()
    prefix = tutorial_prefix(
        "header", len(stdout + stderr), md5=digest, stdout_size=len(stdout), **ending.fields
    )
    return prefix + stdout + stderr


@given(PIECES, ENDINGS, st.lists(st.integers(0, 400)))
def test_frame_answers_are_decoded(pieces, ending, sizes):
    data = frame_answer(pieces, ending) * 2
    decoder = FrameAnswerDecoder()
    events = [event for part in cut(data, sizes) for event in decoder.feed(part)]
    decoder.end()
    assert [event for event in events if isinstance(event, Exit)] == [ending, ending]
    assert outputs(events[: events.index(ending)]) == joined(pieces)


@given(st.binary(max_size=300), st.binary(max_size=300), ENDINGS, st.lists(st.integers(0, 400)))
def test_header_answers_are_decoded(stdout, stderr, ending, sizes):
    data = header_answer(stdout, stderr, ending) * 2
    decoder = HeaderAnswerDecoder()
    events = [event for part in cut(data, sizes) for event in decoder.feed(part)]
    decoder.end()
    assert [event for event in events if isinstance(event, Exit)] == [ending, ending]
    assert outputs(events[: events.index(ending)]) == {"stdout": stdout, "stderr": stderr}


@given(st.lists(st.binary(max_size=300)), st.lists(st.integers(0, 50)))
def test_length_answers_are_decoded(answers, sizes):
    data = b"".join(tutorial_prefix("length", len(answer)) + answer for answer in answers)
    decoder = LengthAnswerDecoder()
    got = [b""]
    for part in cut(data, sizes):
        for event in decoder.feed(part):
            if isinstance(event, Exit):
                got.append(b"")
            else:
                got[-1] += event.data
    decoder.end()
    assert got == [*answers, b""]


WHOLE = {
    "frame": frame_answer([("stdout", b"abc"), ("stderr", b"de")], Exit(exit_code=0)),
    "header": header_answer(b"abc", b"de", Exit(exit_code=0)),
    "length": b"\x05\0\0\0abcde",
}


@pytest.mark.parametrize("protocol", WHOLE)
def test_a_truncated_answer_is_refused(protocol):
    for size in range(1, len(WHOLE[protocol])):
        decoder = DECODERS[protocol]()
        events = list(decoder.feed(WHOLE[protocol][:size]))
        assert not any(isinstance(event, Exit) for event in events)
        with pytest.raises(TruncatedError):
            decoder.end()


@pytest.mark.parametrize("protocol", ["frame", "header"])
def test_changed_output_is_detected(protocol):
    with pytest.raises(RemoteProtocolError) as caught:
        list(DECODERS[protocol]().feed(WHOLE[protocol].replace(b"abc", b"abd")))
    assert caught.value.code == "digest-wrong"


@pytest.mark.parametrize(
    ("protocol", "fields"),
    [
        ("frame", {"op": "exit", "exit_code": 0}),
        ("frame", {"op": "exit", "digest": hashlib.sha256().hexdigest()}),
        ("frame", {"op": "exit", "exit_code": True, "digest": hashlib.sha256().hexdigest()}),
        ("frame", {"op": "exit", "exit_code": 256, "digest": hashlib.sha256().hexdigest()}),
        ("frame", {"op": "exit", "exit_code": 0, "truncated": 1, "digest": hashlib.sha256().hexdigest()}),
        ("frame", {"op": "else"}),
        ("frame", {}),
        ("header", {}),
        ("header", {"md5": 5}),
        ("header", {"md5": hashlib.md5().hexdigest(), "stdout_size": 1}),
        ("header", {"error": "busy", "text": "later"}),
        ("frame", {"error": ["busy"], "text": None}),
    ],
)
def test_wrong_answers_are_refused(protocol, fields):
    with pytest.raises(RemoteProtocolError):
        list(DECODERS[protocol]().feed(framing.encode(fields)))


def test_an_exit_frame_has_no_payload():
    fields = {"op": "exit", "exit_code": 0, "digest": hashlib.sha256(b"x").hexdigest()}
    with pytest.raises(RemoteProtocolError):
        list(FrameAnswerDecoder().feed(framing.encode(fields, b"x")))


def test_a_negative_length_is_refused():
    with pytest.raises(RemoteProtocolError):
        list(LengthAnswerDecoder().feed(struct.pack("<i", -1)))


def test_only_encodings_of_consoles_are_accepted():
    (output, _) = FrameAnswerDecoder().feed(frame_answer([("stdout", b"a")], Exit(exit_code=0), "gbk"))
    assert output.encoding == "gbk"
    (output, _) = FrameAnswerDecoder().feed(frame_answer([("stdout", b"a")], Exit(exit_code=0), "idna"))
    assert output.encoding is None


def test_raw_answers_have_the_order_of_the_tutorials():
    assert tutorial_order("raw", 1) == ("stderr", "stdout")
    assert tutorial_order("header", 1) == ("stdout", "stderr")
    assert tutorial_order("length", 1) == ("stdout",)
    assert tutorial_order("length", 0) == ("stderr",)


def test_refusals_keep_the_shape():
    error = ProtocolError("busy", "too many clients")
    text = b"busy: too many clients\n"
    assert tutorial_refusal("raw", error) == text
    assert tutorial_refusal("length", error) == struct.pack("<i", len(text)) + text
    header = tutorial_refusal("header", error)
    fields = json.loads(header[4 : -len(text)])
    assert fields["md5"] == hashlib.md5(text).hexdigest()
    for refusal in (header, encode_error(error)):
        with pytest.raises(RemoteProtocolError, match="too many clients") as caught:
            list(FrameAnswerDecoder().feed(refusal))
        assert caught.value.code == "busy"


@pytest.mark.parametrize(
    ("ending", "words"),
    [
        (Exit(exit_code=3), ""),
        (Exit(signal=11), ""),
        (Exit(), ""),
        (Exit(signal=9, timed_out=True, limit=30.0), "killed after 30 s"),
        (Exit(signal=9, truncated=True), "incomplete"),
        (Exit(signal=2, cancelled=True), "interrupted"),
    ],
)
def test_notes(ending, words):
    assert words in ending.note
    assert bool(words) == bool(ending.note)


def test_status():
    assert Exit.from_status(3) == Exit(exit_code=3)
    assert Exit.from_status(-9) == Exit(signal=9)


def test_summary():
    endings = [Exit(exit_code=3), Exit(signal=11), Exit(), Exit(signal=2, cancelled=True)]
    assert [ending.summary for ending in endings] == ["exit 3", "signal 11", "done", "interrupted"]
