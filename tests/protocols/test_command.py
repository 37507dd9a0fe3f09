"""The command protocols without I/O: whole, byte by byte, with trailing data, truncated, hostile."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lab.protocols import framing
from lab.protocols.command import (
    MAX_COMMAND,
    Cancel,
    RequestDecoder,
    Run,
    check_tutorial_command,
    command_bytes,
    encode_request,
    encode_tutorial_command,
    is_frame,
)
from lab.protocols.errors import LocalProtocolError, RemoteProtocolError, TruncatedError

COMMANDS = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=200)


def cut(data, sizes):
    """``data`` in parts of the given sizes, then the rest."""
    for size in sizes:
        yield data[:size]
        data = data[size:]
    yield data


@given(
    st.lists(st.one_of(st.builds(Run, COMMANDS), st.just(Cancel())), max_size=5), st.lists(st.integers(0, 40))
)
def test_requests_are_decoded_from_any_chunks(requests, sizes):
    data = b"".join(encode_request(request) for request in requests)
    decoder = RequestDecoder()
    assert [request for part in cut(data, sizes) for request in decoder.feed(part)] == requests
    decoder.end()


def test_a_request_has_limits():
    request = Run("ls", 2.5, "gbk")
    assert list(RequestDecoder().feed(encode_request(request))) == [request]


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        ({"op": "walk"}, "op-unknown"),
        ({}, "op-unknown"),
        ({"op": ["run"]}, "op-unknown"),
        ({"op": "run"}, "command-invalid"),
        ({"op": "run", "command": 5}, "command-invalid"),
        ({"op": "run", "command": "ls", "timeout": 0}, "timeout-invalid"),
        ({"op": "run", "command": "ls", "timeout": True}, "timeout-invalid"),
        ({"op": "run", "command": "ls", "timeout": "5"}, "timeout-invalid"),
        ({"op": "run", "command": "ls", "timeout": 1e9}, "timeout-invalid"),
        ({"op": "run", "command": "ls", "encoding": "idna"}, "encoding-unknown"),
        ({"op": "run", "command": "ls", "encoding": 5}, "encoding-unknown"),
        ({"op": "run", "command": "ls", "encoding": ["gbk"]}, "encoding-unknown"),
    ],
)
def test_a_wrong_request_is_refused(fields, code):
    with pytest.raises(RemoteProtocolError) as caught:
        list(RequestDecoder().feed(framing.encode(fields)))
    assert caught.value.code == code


def test_a_request_with_payload_is_refused():
    with pytest.raises(RemoteProtocolError) as caught:
        list(RequestDecoder().feed(framing.encode({"op": "run", "command": "ls"}, b"x")))
    assert caught.value.code == "payload-unexpected"


def test_a_truncated_request_is_refused():
    decoder = RequestDecoder()
    assert list(decoder.feed(encode_request(Run("ls"))[:-1])) == []
    assert decoder.in_header
    with pytest.raises(TruncatedError):
        decoder.end()


@pytest.mark.parametrize(
    "request_", [Run("a\0b"), Run("x" * (MAX_COMMAND + 1)), Run("ls", -1.0), Run("\ud800")]
)
def test_an_invalid_request_is_not_encoded(request_):
    with pytest.raises(LocalProtocolError):
        encode_request(request_)


@pytest.mark.parametrize("command", ["", "a\0b", "x" * (MAX_COMMAND + 1)])
def test_an_invalid_unframed_request_is_not_encoded(command):
    with pytest.raises(LocalProtocolError):
        encode_tutorial_command(command)


def test_a_command_reaches_the_shell_in_its_encoding():
    assert command_bytes("你好", "gbk") == command_bytes("你好".encode(), "gbk") == "你好".encode("gbk")
    assert command_bytes("你好".encode("gbk"), "gbk") == "你好".encode("gbk"), "no UTF-8: unchanged"
    with pytest.raises(RemoteProtocolError):
        command_bytes("😀", "gbk")


@pytest.mark.parametrize("chunk", [b"a\0", b"\x01", b"\xff\xff\xff\xff", b"\xff\xff\xff\x7f{}"])
def test_undecodable_bytes_are_no_command(chunk):
    with pytest.raises(RemoteProtocolError):
        check_tutorial_command(chunk)


@given(st.text(st.characters(exclude_categories=["Cc", "Cs"]), min_size=3).map(str.encode))
def test_text_is_never_a_frame(command):
    assert is_frame(command) is False
    check_tutorial_command(command)


@given(COMMANDS, st.integers(1, 100))
def test_a_frame_is_never_a_text(command, size):
    assert is_frame(encode_request(Run(command))[:size]) in ((True,) if size >= 3 else (True, None))


@pytest.mark.parametrize(("chunk", "answer"), [(b"w", None), (b"ls", None), (b"pwd", False), (b"\x02", True)])
def test_short_chunks(chunk, answer):
    assert is_frame(chunk) is answer
