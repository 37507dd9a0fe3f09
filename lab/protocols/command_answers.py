"""Answers of the remote command protocols: encoders for the server, decoders for the client.

A decoder turns bytes into events. It keeps only a header and the current chunk, so memory doesn't grow with
the output. It yields an Exit only after a complete answer, verified if the protocol has a digest; an
incomplete or wrong answer raises an error.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

from lab.protocols import framing
from lab.protocols.command import ENCODINGS, LENGTH, MAX_TIMEOUT
from lab.protocols.errors import ProtocolError, RemoteProtocolError, TruncatedError
from lab.protocols.fields import FieldChecks


@dataclass(frozen=True)
class Exit:
    """How a command ended. ``exit_code`` and ``signal`` are both None if the protocol doesn't carry them."""

    exit_code: int | None = None
    signal: int | None = None
    truncated: bool = False  # killed because its output exceeded the limit
    timed_out: bool = False  # killed because it ran longer than the limit
    cancelled: bool = False  # interrupted at the client's request
    limit: float | None = None  # seconds that it was allowed to run

    @classmethod
    def from_status(cls, status: int) -> Exit:
        """From a result of ``os.waitstatus_to_exitcode``: a negative number is a signal."""
        return cls(signal=-status) if status < 0 else cls(exit_code=status)

    @property
    def fields(self) -> dict[str, Any]:
        """The fields of a header: the exit code or the signal, the flags and the limit."""
        ending = {"signal": self.signal} if self.signal is not None else {"exit_code": self.exit_code}
        flags = {"truncated": self.truncated, "timed_out": self.timed_out, "cancelled": self.cancelled}
        return ending | flags | ({} if self.limit is None else {"limit": self.limit})

    @property
    def note(self) -> str:
        """Why the command was ended, for people; "" if it ended by itself."""
        if self.timed_out:
            return f"killed after {self.limit:g} s" if self.limit else "killed because it ran too long"
        if self.truncated:
            return "killed because its output exceeded the limit; the output shown is incomplete"
        return "interrupted" if self.cancelled else ""

    @property
    def summary(self) -> str:
        """How it ended in a few words, for people."""
        if self.note or self.signal is not None:
            return self.note or f"signal {self.signal}"
        return "done" if self.exit_code is None else f"exit {self.exit_code}"


@dataclass(frozen=True)
class Output:
    """The next bytes of ``stream`` (stdout or stderr). ``encoding`` is None if the header doesn't name it."""

    stream: str
    data: bytes
    encoding: str | None = None


AnswerEvent: TypeAlias = Output | Exit


class FrameAnswerEncoder:
    """Encodes one answer of the frame protocol."""

    def __init__(self, encoding: str = "utf-8") -> None:
        self._encoding = encoding
        self._digest = hashlib.sha256()
        self._sizes = {"stdout": 0, "stderr": 0}

    def output(self, stream: str, data: bytes) -> bytes:
        """The frame of the next bytes of ``stream``."""
        self._digest.update(data)
        self._sizes[stream] += len(data)
        return framing.encode({"op": stream, "encoding": self._encoding}, data)

    def exit(self, ending: Exit) -> bytes:
        """The last frame. Its digest covers the bytes of both streams, in the order of their frames."""
        sizes = {f"{stream}_size": size for stream, size in self._sizes.items()}
        return framing.encode({"op": "exit", **ending.fields, **sizes, "digest": self._digest.hexdigest()})


def encode_error(error: ProtocolError) -> bytes:
    """The frame that reports the peer's mistake; the connection is closed after it."""
    return framing.encode({"error": error.code, "text": str(error)})


def tutorial_order(protocol: str, stdout_size: int) -> tuple[str, ...]:
    """The streams that a tutorial protocol sends, in order."""
    if protocol == "length":
        return ("stdout",) if stdout_size else ("stderr",)
    return ("stderr", "stdout") if protocol == "raw" else ("stdout", "stderr")


def tutorial_prefix(protocol: str, size: int, **fields: Any) -> bytes:
    """The bytes before an answer of ``size`` bytes in a tutorial protocol; ``fields`` go into its header."""
    if protocol == "raw":
        return b""
    if protocol == "length":
        return LENGTH.pack(size)
    return framing.encode_header({"total_size": size, **fields})


def tutorial_refusal(protocol: str, error: ProtocolError) -> bytes:
    """A complete answer that reports ``error`` in the format of ``protocol``.

    A header answer has the field ``error`` too, so that clients of the frame protocol read the same bytes as
    an error frame.
    """
    if protocol == "frame":
        return encode_error(error)
    text = f"{error.code}: {error}\n".encode()
    digest = hashlib.md5(text, usedforsecurity=False).hexdigest()
    more = {"md5": digest, "stdout_size": 0, "error": error.code, "text": str(error)}
    return tutorial_prefix(protocol, len(text), **more) + text


class RawAnswerDecoder:
    """Raw: all bytes are output. Nothing marks the end of the answer; the reader has to guess."""

    def feed(self, data: bytes) -> Iterator[AnswerEvent]:
        yield Output("stdout", data)

    def end(self) -> None:
        """Does nothing: the protocol can't show whether the answer was complete."""


class LengthAnswerDecoder:
    """Length: the bytes are stdout, or stderr if stdout was empty; the protocol doesn't show which."""

    def __init__(self) -> None:
        self._prefix = bytearray()
        self._left: int | None = None

    def feed(self, data: bytes) -> Iterator[AnswerEvent]:
        """Raises RemoteProtocolError if the length is negative."""
        view = memoryview(data)
        while view or self._left == 0:
            if self._left is None:
                view = self._feed_prefix(view)
            elif self._left == 0:
                self._left = None
                yield Exit()
            else:
                part = view[: self._left]
                view = view[len(part) :]
                self._left -= len(part)
                yield Output("stdout", bytes(part))

    def end(self) -> None:
        """Raises TruncatedError in the middle of an answer."""
        if self._left is not None:
            raise TruncatedError(f"the answer ended {self._left} bytes too early")
        if self._prefix:
            raise TruncatedError("the answer ended inside its length")

    def _feed_prefix(self, view: memoryview) -> memoryview:
        part = view[: LENGTH.size - len(self._prefix)]
        self._prefix += part
        if len(self._prefix) == LENGTH.size:
            (self._left,) = LENGTH.unpack(self._prefix)
            self._prefix.clear()
            if self._left < 0:
                raise RemoteProtocolError("length-invalid", f"the answer's length is {self._left}")
        return view[len(part) :]


class HeaderAnswerDecoder:
    """Header: one header, then stdout and stderr, verified by their MD5."""

    def __init__(self) -> None:
        self._frames = framing.Decoder()

    def feed(self, data: bytes) -> Iterator[AnswerEvent]:
        """Raises RemoteProtocolError; if the digest is wrong, none of the earlier output is valid."""
        for event in self._frames.feed(data):
            if isinstance(event, framing.Header):
                self._begin(event)
            elif isinstance(event, framing.Payload):
                yield from self._split(event.data)
            else:
                _check_digest(self._fields.get("md5"), self._digest.hexdigest())
                yield _parse_exit(self._fields)

    def end(self) -> None:
        """Raises TruncatedError in the middle of an answer."""
        self._frames.end()

    def _begin(self, header: framing.Header) -> None:
        _raise_error(header.fields)
        self._fields = header.fields
        self._encoding = _parse_encoding(header.fields)
        self._digest = hashlib.md5(usedforsecurity=False)
        size = _optional_integer(header.fields, "stdout_size", header.total_size)
        # A tutorial server doesn't send stdout_size, so stderr can't be distinguished from stdout.
        self._stdout_left = header.total_size if size is None else size

    def _split(self, data: bytes) -> Iterator[Output]:
        self._digest.update(data)
        stdout, stderr = data[: self._stdout_left], data[self._stdout_left :]
        self._stdout_left -= len(stdout)
        if stdout:
            yield Output("stdout", stdout, self._encoding)
        if stderr:
            yield Output("stderr", stderr, self._encoding)


class FrameAnswerDecoder:
    """Frames: each frame of output names its stream; the digest in the exit frame covers all of them."""

    def __init__(self) -> None:
        self._frames = framing.Decoder()
        self._digest = hashlib.sha256()
        self._begun = False

    def feed(self, data: bytes) -> Iterator[AnswerEvent]:
        """Raises RemoteProtocolError; if the digest is wrong, none of the earlier output is valid."""
        for event in self._frames.feed(data):
            if isinstance(event, framing.Header):
                self._begin(event)
            elif isinstance(event, framing.Payload):
                self._digest.update(event.data)
                yield Output(self._op, event.data, self._encoding)
            elif self._op == "exit":
                _check_digest(self._fields.get("digest"), self._digest.hexdigest())
                ending = _parse_exit(self._fields)
                if ending.exit_code is None and ending.signal is None:
                    raise RemoteProtocolError(
                        "exit-invalid", "an exit frame must have an exit code or a signal"
                    )
                self._digest, self._begun = hashlib.sha256(), False
                yield ending

    def end(self) -> None:
        """Raises TruncatedError inside a frame or before the exit frame."""
        self._frames.end()
        if self._begun:
            raise TruncatedError("the answer ended before its exit frame")

    def _begin(self, header: framing.Header) -> None:
        _raise_error(header.fields)
        self._fields = header.fields
        self._op = str(header.fields.get("op"))
        if self._op not in ("stdout", "stderr", "exit"):
            raise RemoteProtocolError("op-unknown", "unknown op: expected stdout, stderr or exit")
        if self._op == "exit" and header.total_size:
            raise RemoteProtocolError("payload-unexpected", "an exit frame must not have a payload")
        self._encoding = _parse_encoding(header.fields)
        self._begun = True


AnswerDecoder: TypeAlias = RawAnswerDecoder | LengthAnswerDecoder | HeaderAnswerDecoder | FrameAnswerDecoder

DECODERS: dict[str, type[AnswerDecoder]] = {
    "raw": RawAnswerDecoder,
    "length": LengthAnswerDecoder,
    "header": HeaderAnswerDecoder,
    "frame": FrameAnswerDecoder,
}


_checks = FieldChecks(
    lambda name, problem: RemoteProtocolError("header-invalid", f"header: {name} {problem}")
)


def _raise_error(fields: Mapping[str, Any]) -> None:
    if "error" in fields:
        code, text = fields["error"], fields.get("text")
        raise RemoteProtocolError(str(code)[:64], f"refused by the server: {str(text)[:500]}")


def _check_digest(expected: Any, actual: str) -> None:
    if not isinstance(expected, str):
        raise RemoteProtocolError("digest-missing", "the answer has no digest")
    if expected.lower() != actual:
        raise RemoteProtocolError(
            "digest-wrong", "wrong digest: the output shown differs from the output sent"
        )


def _parse_encoding(fields: Mapping[str, Any]) -> str | None:
    encoding = fields.get("encoding")
    return encoding if isinstance(encoding, str) and encoding in ENCODINGS else None


def _parse_exit(fields: Mapping[str, Any]) -> Exit:
    names = ("truncated", "timed_out", "cancelled")
    flags = {name: _checks.boolean(name, fields.get(name, False)) for name in names}
    ending = Exit(**flags, exit_code=_optional_integer(fields, "exit_code", 255))
    limit = fields.get("limit")
    if isinstance(limit, int | float) and not isinstance(limit, bool) and 0 < limit <= MAX_TIMEOUT:
        ending = replace(ending, limit=float(limit))
    signal = _optional_integer(fields, "signal", 127)
    return ending if signal is None else replace(ending, exit_code=None, signal=signal)


def _optional_integer(fields: Mapping[str, Any], name: str, most: int) -> int | None:
    value = fields.get(name)
    return None if value is None else _checks.integer(name, value, 0, most)
