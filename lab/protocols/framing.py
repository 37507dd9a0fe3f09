"""Frames: the one wire format that the lab's own protocols share.

    int32 little-endian: header length | header: UTF-8 JSON object | payload: header["total_size"] bytes

Strategy: the decoder is fed whatever arrived and gives events. The length is checked before a byte of
the header is kept, the header is checked before its payload is let through, and payload bytes are passed
on as they come, so memory is bounded by one header and one chunk, whatever the peer declares. A caller
who wants payload to go straight from the socket into a file reads no more than ``wanted`` bytes at a
time while a header is under way, and tells ``took()`` how much payload it handled itself.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

from lab.protocols.errors import LocalProtocolError, ProtocolError, RemoteProtocolError, TruncatedError

PREFIX = struct.Struct("<i")
MIN_HEADER = 2  # "{}"
MAX_HEADER = 65_536
MAX_INTEGER = 2**53  # the largest that every JSON reader keeps exact (RFC 8259, section 6)
MAX_NESTING = 32

Fields: TypeAlias = dict[str, Any]


@dataclass(frozen=True)
class Header:
    """A whole, valid header. ``total_size`` bytes of payload follow."""

    fields: Fields

    @property
    def total_size(self) -> int:
        return int(self.fields["total_size"])


@dataclass(frozen=True)
class Payload:
    """The next bytes of the payload; never empty."""

    data: bytes


@dataclass(frozen=True)
class End:
    """The frame is complete; the next byte belongs to the next one."""


Event: TypeAlias = Header | Payload | End


def encode(fields: Mapping[str, Any], payload: bytes = b"") -> bytes:
    """A whole frame, for payloads that are at hand. ``total_size`` is filled in.

    Raises LocalProtocolError where the header can't be said within the limits.
    """
    return encode_header({**fields, "total_size": len(payload)}) + payload


def encode_header(fields: Mapping[str, Any]) -> bytes:
    """Length and header of a frame whose ``total_size`` bytes of payload the caller sends itself.

    Raises LocalProtocolError where the header can't be said within the limits.
    """
    try:
        raw = json.dumps(fields, ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode()
    except (TypeError, ValueError, RecursionError) as error:  # UnicodeEncodeError is a ValueError
        raise LocalProtocolError("header-invalid", f"a header that JSON can't say: {error}") from None
    try:
        check_length(len(raw))
        parse_header(raw)
    except ProtocolError as error:
        raise LocalProtocolError(error.code, str(error)) from None
    return PREFIX.pack(len(raw)) + raw


def check_length(length: int) -> None:
    """Raises RemoteProtocolError where ``length`` can't be that of a header."""
    if length < MIN_HEADER:
        raise RemoteProtocolError("header-too-short", f"header length {length} is below {MIN_HEADER}")
    if length > MAX_HEADER:
        raise RemoteProtocolError("header-too-long", f"header length {length} is above {MAX_HEADER}")


def parse_header(raw: bytes) -> Fields:
    """The JSON object in ``raw``: no duplicate key, no NaN, integers 0 … 2^53, nesting at most 32.

    Raises RemoteProtocolError, also where ``total_size`` is missing or no size.
    """
    try:
        text = raw.decode()
    except UnicodeDecodeError as error:
        raise _invalid(f"not UTF-8 at byte {error.start}") from None
    if text.count("[") + text.count("{") > MAX_NESTING:
        _check_nesting(text)
    try:
        value = json.loads(
            text,
            object_pairs_hook=_object,
            parse_constant=_refuse_constant,
            parse_int=_integer,
            parse_float=_float,
        )
    except json.JSONDecodeError as error:
        raise _invalid(f"not JSON: {error.msg} at character {error.pos}") from None
    if not isinstance(value, dict):
        raise _invalid("not an object")
    if "\\u" in text and not _encodable(value):
        raise _invalid("half a surrogate pair")
    total_size = value.get("total_size")
    if isinstance(total_size, bool) or not isinstance(total_size, int):
        raise _invalid("total_size is missing or no integer")
    return value


def _invalid(what: str) -> RemoteProtocolError:
    return RemoteProtocolError("header-invalid", f"header: {what}")


def _object(pairs: list[tuple[str, Any]]) -> Fields:
    fields = dict(pairs)
    if len(fields) != len(pairs):
        raise _invalid("a key stands twice")
    return fields


def _refuse_constant(name: str) -> Any:
    raise _invalid(f"{name} is no JSON number")


def _integer(digits: str) -> int:
    # The length is looked at first: int() of a long string is slow, and Python refuses it past 4300 digits.
    if len(digits) > 16 or not 0 <= int(digits) <= MAX_INTEGER:
        raise _invalid("an integer is outside 0 … 2^53")
    return int(digits)


def _float(digits: str) -> float:
    number = float(digits)
    if number in (float("inf"), float("-inf")):
        raise _invalid("a number is too large")
    return number


def _encodable(value: Any) -> bool:
    try:
        json.dumps(value, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        return False
    return True


def _check_nesting(text: str) -> None:
    """Counts brackets outside strings, before the JSON parser recurses over them."""
    depth = 0
    in_string = escaped = False
    for character in text:
        if in_string:
            if escaped:
                escaped = False
            elif character == "\\":
                escaped = True
            elif character == '"':
                in_string = False
        elif character == '"':
            in_string = True
        elif character in "[{":
            depth += 1
            if depth > MAX_NESTING:
                raise _invalid(f"nested deeper than {MAX_NESTING}")
        elif character in "]}":
            depth -= 1


class Decoder:
    """Turns the bytes of one direction of a connection into events, frame after frame.

    After a RemoteProtocolError it stays broken: where the next frame starts is unknown.
    """

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._length: int | None = None  # of the header under way, once its prefix is here
        self._payload_left: int | None = None  # None: no header yet
        self._error: ProtocolError | None = None

    @property
    def wanted(self) -> int:
        """How many bytes may be read without reading past the header or payload under way."""
        if self._payload_left is not None:
            return self._payload_left
        target = PREFIX.size if self._length is None else PREFIX.size + self._length
        return target - len(self._buffer)

    @property
    def between_frames(self) -> bool:
        """True where the stream may end: nothing of the next frame has arrived."""
        return self._payload_left is None and not self._buffer

    @property
    def in_header(self) -> bool:
        """True from the first byte of a header until it is whole: the time in which its deadline runs."""
        return self._payload_left is None and bool(self._buffer)

    def feed(self, data: bytes | bytearray | memoryview) -> Iterator[Event]:
        """The events that ``data`` completes. Consume them all before feeding again.

        Raises RemoteProtocolError at the first byte that shows the frame to be invalid.
        """
        view = memoryview(data)
        while True:
            if self._error is not None:
                raise self._error
            if self._payload_left is None:
                if not view:
                    return
                view = self._feed_header(view)
                if self._payload_left is None:
                    continue
                yield Header(self._fields)
            elif view:
                part = view[: self._payload_left]
                view = view[len(part) :]
                self._payload_left -= len(part)
                yield Payload(bytes(part))
            if self._payload_left == 0:
                self._payload_left = None
                yield End()
            elif not view:
                return

    def took(self, count: int) -> bool:
        """Says that the caller handled the next ``count`` bytes of payload itself. True at the frame's end.

        Raises LocalProtocolError where that is more than the payload has left.
        """
        if self._payload_left is None or not 0 <= count <= self._payload_left:
            raise LocalProtocolError("took-too-much", f"{count} bytes are more than the payload has left")
        self._payload_left -= count
        if self._payload_left:
            return False
        self._payload_left = None
        return True

    def end(self) -> None:
        """Says that the stream ended. Raises TruncatedError in the middle of a frame, or an earlier error."""
        if self._error is not None:
            raise self._error
        if self._payload_left is not None:
            raise TruncatedError(f"the stream ended {self._payload_left} bytes before the end of a payload")
        if self._buffer:
            raise TruncatedError("the stream ended inside a header")

    def _feed_header(self, view: memoryview) -> memoryview:
        """Takes what belongs to the header from ``view`` and returns the rest."""
        part = view[: self.wanted]
        self._buffer += part
        try:
            if self._length is None and len(self._buffer) == PREFIX.size:
                (length,) = PREFIX.unpack(self._buffer)
                check_length(length)
                self._length = length
            if self._length is not None and len(self._buffer) == PREFIX.size + self._length:
                self._fields = parse_header(bytes(self._buffer[PREFIX.size :]))
                self._payload_left = self._fields["total_size"]
                self._length = None
                self._buffer.clear()
        except ProtocolError as error:
            self._error = error
            raise
        return view[len(part) :]
