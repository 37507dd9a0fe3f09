"""hello, reverse and upper: the protocols of the first TCP programs in tutorials.

There is no framing: a chunk (the result of one recv) counts as one message. TCP preserves the bytes and
their order but not the boundaries of calls, so this works only while messages are short and each is answered
before the next is sent. Our client doesn't rely on this: it computes the expected answer and collects chunks
until that answer is complete.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from lab.protocols.errors import LocalProtocolError, RemoteProtocolError

HELLO_PORT, REVERSE_PORT, UPPER_PORT = 8001, 20_000, 8000
HELLO_TEXT, HELLO_ANSWER = "我是客户端", "我是服务端"
HELLO_LIMIT = 1024  # bytes; tutorial servers read the text with recv(1024)
CHUNK_LIMIT = 65_536
QUIT = "quit"


class Reply(NamedTuple):
    """The reaction to a chunk: bytes for the peer, and a text to print on the server."""

    send: bytes = b""
    text: str | None = None


class Session:
    """The server's side of one connection. Pass it each chunk until it is ``over`` or the stream ends."""

    limit = CHUNK_LIMIT  # bytes to recv at a time
    over = False

    def received(self, chunk: bytes) -> Reply:
        """The reply to ``chunk``. Raises RemoteProtocolError if the session can't continue."""
        raise NotImplementedError


class Hello(Session):
    """One text, one fixed answer. If the answer is empty, the session is over at once."""

    limit = HELLO_LIMIT

    def __init__(self, answer: str = HELLO_ANSWER) -> None:
        self._answer = encode(answer)
        self.over = not answer

    def received(self, chunk: bytes) -> Reply:
        self.over = True
        return Reply(self._answer, chunk.decode(errors="backslashreplace"))


class Reverse(Session):
    """Returns each chunk with its characters reversed; ``quit`` ends the session without an answer."""

    def received(self, chunk: bytes) -> Reply:
        try:
            text = chunk.decode()
        except UnicodeDecodeError as error:
            what = f"the chunk isn't valid UTF-8 at byte {error.start}"
            raise RemoteProtocolError("chunk-invalid", what) from None
        if text == QUIT:
            self.over = True
            return Reply()
        return Reply(text[::-1].encode())


class Upper(Session):
    """Returns each chunk in upper case. Only ASCII letters change, so a chunk may end inside a character."""

    def received(self, chunk: bytes) -> Reply:
        return Reply(chunk.upper())


def encode(text: str) -> bytes:
    """``text`` in UTF-8. Raises LocalProtocolError if it can't be encoded (lone surrogates)."""
    try:
        return text.encode()
    except UnicodeEncodeError:
        raise LocalProtocolError("text-invalid", "the text isn't valid UTF-8") from None


def as_message(text: str) -> bytes:
    """``text`` as one message. Raises LocalProtocolError if it is empty, too long or can't be encoded.

    For an empty message TCP sends nothing, so both sides would wait. A message longer than a chunk would come
    back while it is still being sent: both sides would be sending, and neither reading.
    """
    if not text:
        raise LocalProtocolError("empty-message", "an empty text can't be sent: TCP would send nothing")
    data = encode(text)
    if len(data) > CHUNK_LIMIT:
        raise LocalProtocolError(
            "too-long", f"a message of {len(data)} bytes exceeds the limit of {CHUNK_LIMIT}"
        )
    return data


def _reversed(text: str) -> set[bytes]:
    return {text[::-1].encode()}


def _uppercased(text: str) -> set[bytes]:
    """Answers of tutorial servers: bytes.upper() changes ASCII only, str.upper() may change the length."""
    return {text.encode().upper(), text.upper().encode()}


_ANSWERS: dict[str, Callable[[str], set[bytes]]] = {"reverse": _reversed, "upper": _uppercased}


class Answer:
    """Collects the answer to one message of ``reverse`` or ``upper`` from its chunks."""

    def __init__(self, mode: str, text: str) -> None:
        self._expected = _ANSWERS[mode](text)
        self._arrived = bytearray()

    @property
    def text(self) -> str:
        """The part of the answer that has arrived."""
        return self._arrived.decode(errors="backslashreplace")

    def received(self, chunk: bytes) -> bool:
        """True when the answer is complete. Raises RemoteProtocolError as soon as it is wrong."""
        if not chunk:
            raise RemoteProtocolError("closed", "the server closed the connection before it had answered")
        self._arrived += chunk
        if bytes(self._arrived) in self._expected:
            return True
        if not any(answer.startswith(self._arrived) for answer in self._expected):
            raise RemoteProtocolError("answer-wrong", f"wrong answer: {_short(self.text)!r}")
        return False


def _short(text: str) -> str:
    return text if len(text) <= 100 else text[:100] + "…"
