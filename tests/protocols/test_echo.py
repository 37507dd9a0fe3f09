"""hello, reverse, upper: conversations without a socket."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lab.protocols.echo import HELLO_ANSWER, Answer, Hello, Reply, Reverse, Upper, as_message, encode
from lab.protocols.errors import LocalProtocolError, RemoteProtocolError

texts = st.text(st.characters(exclude_categories=["Cs"]), min_size=1)


def test_hello_shows_the_text_answers_and_is_over():
    session = Hello()
    assert not session.over
    assert session.limit == 1024
    assert session.received("我是客户端".encode()) == Reply("我是服务端".encode(), "我是客户端")
    assert session.over


@pytest.mark.parametrize("answer", ["Hello Lyon", "Hello, Client!", HELLO_ANSWER])
def test_hello_answers_what_it_was_told_to(answer):
    assert Hello(answer).received(b"I'm Lyon") == Reply(answer.encode(), "I'm Lyon")


def test_hello_without_an_answer_just_closes():
    assert Hello("").over


def test_hello_shows_bytes_that_are_no_text_too():
    assert Hello().received("你好".encode("gbk")).text == r"\xc4\xe3\xba\xc3"


def test_an_answer_that_is_no_text_is_our_mistake():
    with pytest.raises(LocalProtocolError):
        Hello("\udcff")


@given(texts.filter(lambda text: text != "quit"))
def test_reverse_gives_back_the_characters_backwards(text):
    session = Reverse()
    once = session.received(encode(text))
    assert once.send.decode() == text[::-1]
    assert len(once.send) == len(encode(text))
    assert not session.over


def test_quit_ends_reverse_without_an_answer_and_nothing_like_it_does():
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
def test_upper_is_the_same_however_the_bytes_are_cut(data, place):
    whole = Upper().received(data).send
    session = Upper()
    parts = [session.received(part).send for part in (data[:place], data[place:]) if part]
    assert b"".join(parts) == whole == data.upper()


def test_upper_leaves_characters_whole():
    assert Upper().received("grüße 上海 abc".encode()).send.decode() == "GRüßE 上海 ABC"


@given(texts, st.lists(st.integers(1, 10)))
def test_an_answer_is_put_together_from_any_chunks(text, sizes):
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
def test_a_wrong_answer_is_told_as_soon_as_it_is_wrong(mode, text, wrong):
    with pytest.raises(RemoteProtocolError) as caught:
        Answer(mode, text).received(wrong)
    assert caught.value.code == "answer-wrong"


def test_the_end_of_the_stream_is_no_answer():
    answer = Answer("upper", "abc")
    assert not answer.received(b"AB")
    with pytest.raises(RemoteProtocolError) as caught:
        answer.received(b"")
    assert caught.value.code == "closed"


@pytest.mark.parametrize(
    ("text", "code"), [("", "empty-message"), ("\udcff", "text-invalid"), ("上" * 21_846, "too-long")]
)
def test_what_tcp_cant_send_as_a_message_is_refused(text, code):
    with pytest.raises(LocalProtocolError) as caught:
        as_message(text)
    assert caught.value.code == code
