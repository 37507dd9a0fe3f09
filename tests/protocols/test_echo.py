"""The modes hello, reverse and upper, without a socket."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lab.protocols.echo import HELLO_ANSWER, Answer, Hello, Reply, Reverse, Upper, as_message, encode
from lab.protocols.errors import LocalProtocolError, RemoteProtocolError

texts = st.text(st.characters(exclude_categories=["Cs"]), min_size=1)


def test_hello_shows_the_text_answers_and_ends():
    session = Hello()
    assert not session.over
    assert session.limit == 1024
    assert session.received("我是客户端".encode()) == Reply("我是服务端".encode(), "我是客户端")
    assert session.over


@pytest.mark.parametrize("answer", ["Hello Lyon", "Hello, Client!", HELLO_ANSWER])
def test_hello_has_a_configurable_answer(answer):
    assert Hello(answer).received(b"I'm Lyon") == Reply(answer.encode(), "I'm Lyon")


def test_hello_without_an_answer_only_closes():
    assert Hello("").over


def test_hello_shows_undecodable_bytes():
    assert Hello().received("你好".encode("gbk")).text == r"\xc4\xe3\xba\xc3"


def test_an_unencodable_answer_is_a_local_error():
    with pytest.raises(LocalProtocolError):
        Hello("\udcff")


@given(texts.filter(lambda text: text != "quit"))
def test_reverse_returns_the_characters_in_reverse_order(text):
    session = Reverse()
    once = session.received(encode(text))
    assert once.send.decode() == text[::-1]
    assert len(once.send) == len(encode(text))
    assert not session.over


def test_only_quit_ends_reverse_without_an_answer():
    session = Reverse()
    for text in ("quit\n", "Quit", " quit", "quitquit"):
        assert session.received(text.encode()).send.decode() == text[::-1]
    assert not session.over
    assert session.received(b"quit") == Reply()
    assert session.over


@pytest.mark.parametrize("chunk", [b"\xff", "上".encode()[:2], "上".encode()[1:], "上海".encode("gbk")])
def test_a_bad_chunk_ends_reverse(chunk):
    with pytest.raises(RemoteProtocolError) as caught:
        Reverse().received(chunk)
    assert caught.value.code == "chunk-invalid"


@given(st.binary(min_size=1), st.integers(0, 100))
def test_upper_does_not_depend_on_the_chunks(data, place):
    whole = Upper().received(data).send
    session = Upper()
    parts = [session.received(part).send for part in (data[:place], data[place:]) if part]
    assert b"".join(parts) == whole == data.upper()


def test_upper_does_not_split_characters():
    assert Upper().received("grüße 上海 abc".encode()).send.decode() == "GRüßE 上海 ABC"


@given(texts, st.lists(st.integers(1, 10)))
def test_an_answer_is_assembled_from_any_chunks(text, sizes):
    for mode, right in (
        ("reverse", text[::-1].encode()),
        ("upper", text.encode().upper()),
        ("upper", text.upper().encode()),
    ):
        answer = Answer(mode, text)
        rest = right
        for size in sizes:
            if len(rest) <= size:
                break
            assert not answer.received(rest[:size])
            rest = rest[size:]
        assert answer.received(rest)
        assert answer.text == right.decode()


@pytest.mark.parametrize(
    ("mode", "text", "wrong"),
    [
        ("upper", "abc", b"abc"),
        ("upper", "abc", b"ABCD"),
        ("upper", "abc", b"busy\n"),
        ("reverse", "abc", b"abc"),
        ("reverse", "上海", "上".encode()),
    ],
)
def test_a_wrong_answer_is_reported_at_its_first_wrong_byte(mode, text, wrong):
    with pytest.raises(RemoteProtocolError) as caught:
        Answer(mode, text).received(wrong)
    assert caught.value.code == "answer-wrong"


def test_the_end_of_the_stream_is_not_an_answer():
    answer = Answer("upper", "abc")
    assert not answer.received(b"AB")
    with pytest.raises(RemoteProtocolError) as caught:
        answer.received(b"")
    assert caught.value.code == "closed"


@pytest.mark.parametrize(
    ("text", "code"), [("", "empty-message"), ("\udcff", "text-invalid"), ("上" * 21_846, "too-long")]
)
def test_messages_that_tcp_cannot_carry_are_refused(text, code):
    with pytest.raises(LocalProtocolError) as caught:
        as_message(text)
    assert caught.value.code == code
