"""hello, reverse and upper: what the first TCP programs of tutorials say to each other.

Nothing is framed: a chunk, what one recv gave, is taken as one message. TCP doesn't promise that (it
keeps the bytes and their order, not the calls), and so these conversations work as long as messages are
short and one is answered before the next is sent. The asking side here doesn't rely on it: it knows which
answer is right, and puts it together from as many chunks as it takes.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from lab.protocols.errors import LocalProtocolError, RemoteProtocolError

HELLO_PORT, REVERSE_PORT, UPPER_PORT = 8001, 20_000, 8000
HELLO_TEXT, HELLO_ANSWER = "我是客户端", "我是服务端"
HELLO_LIMIT = 1024  # bytes of the text, as tutorials read it: recv(1024)
CHUNK_LIMIT = 65_536
QUIT = "quit"


class Reply(NamedTuple):
    """What a chunk leads to: bytes for the peer, and a text for whoever watches the server."""

    send: bytes = b""
    text: str | None = None


class Session:
    """The serving side of one conversation. Hand it each chunk until it is ``over`` or the stream ends."""

    limit = CHUNK_LIMIT  # bytes to recv at a time
    over = False

    def received(self, chunk: bytes) -> Reply:
        """The reply to ``chunk``. Raises RemoteProtocolError where the conversation can't go on."""
        raise NotImplementedError


class Hello(Session):
    """One text, one fixed answer, the end. Without an answer it is over before it has begun."""

    limit = HELLO_LIMIT

    def __init__(self, answer: str = HELLO_ANSWER) -> None:
        self._answer = encode(answer)
        self.over = not answer

    def received(self, chunk: bytes) -> Reply:
        self.over = True
        return Reply(self._answer, chunk.decode(errors="backslashreplace"))


class Reverse(Session):
    """Each chunk comes back reversed by character; ``quit`` ends it without an answer."""

    def received(self, chunk: bytes) -> Reply:
        try:
            text = chunk.decode()
        except UnicodeDecodeError as error:
            what = f"a chunk that isn't UTF-8, at byte {error.start}"
            raise RemoteProtocolError("chunk-invalid", what) from None
        if text == QUIT:
            self.over = True
            return Reply()
        return Reply(text[::-1].encode())


class Upper(Session):
    """Each chunk comes back upper-cased: its ASCII letters, so a chunk may be cut anywhere."""

    def received(self, chunk: bytes) -> Reply:
        return Reply(chunk.upper())


def encode(text: str) -> bytes:
    """``text`` in UTF-8. Raises LocalProtocolError where it holds what isn't a character."""
    try:
        return text.encode()
    except UnicodeEncodeError:
        raise LocalProtocolError("text-invalid", "the text isn't valid UTF-8") from None


def as_message(text: str) -> bytes:
    """``text`` as one message. Raises LocalProtocolError where it is empty, no text, or longer than a chunk.

    Nothing is what TCP sends for an empty message: the server wouldn't notice, and both would wait. And a
    long one would come back while it is still being sent: both would send, and nobody read.
    """
    if not text:
        raise LocalProtocolError("empty-message", "an empty text can't be sent: TCP would send nothing")
    data = encode(text)
    if len(data) > CHUNK_LIMIT:
        raise LocalProtocolError("too-long", f"a message of {len(data)} bytes is above {CHUNK_LIMIT}")
    return data


def _reversed(text: str) -> set[bytes]:
    return {text[::-1].encode()}


def _uppercased(text: str) -> set[bytes]:
    """Both that tutorial servers give: bytes.upper() knows ASCII alone, str.upper() may change the length."""
    return {text.encode().upper(), text.upper().encode()}


_ANSWERS: dict[str, Callable[[str], set[bytes]]] = {"reverse": _reversed, "upper": _uppercased}


class Answer:
    """The answer to one message of ``reverse`` or ``upper``, put together from the chunks it comes in."""

    def __init__(self, mode: str, text: str) -> None:
        self._expected = _ANSWERS[mode](text)
        self._arrived = bytearray()

    @property
    def text(self) -> str:
        """What has arrived so far."""
        return self._arrived.decode(errors="backslashreplace")

    def received(self, chunk: bytes) -> bool:
        """True when the answer is whole. Raises RemoteProtocolError as soon as it can't become right."""
        if not chunk:
            raise RemoteProtocolError("closed", "the server closed the connection before it had answered")
        self._arrived += chunk
        if bytes(self._arrived) in self._expected:
            return True
        if not any(answer.startswith(self._arrived) for answer in self._expected):
            raise RemoteProtocolError("answer-wrong", f"a wrong answer: {_short(self.text)!r}")
        return False


def _short(text: str) -> str:
    return text if len(text) <= 100 else text[:100] + "…"
