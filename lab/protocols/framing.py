"""Frames: the wire format that the lab's own protocols share.

    int32 little-endian: header length | header: UTF-8 JSON object | payload: header["total_size"] bytes

The decoder turns received bytes into events. It checks the length before it stores any byte of the header,
and the header before it passes on any payload. Payload bytes are passed on as they arrive, so memory is
bounded by one header and one chunk, for any length that the peer declares. To receive payload from the socket
directly into a file, a caller reads at most ``wanted`` bytes at a time until the header is complete, and then
reports the payload bytes that it read itself with ``took()``.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

from lab.protocols.errors import LocalProtocolError, ProtocolError, RemoteProtocolError, TruncatedError
from lab.protocols.fields import MAX_INTEGER, FieldChecks

PREFIX = struct.Struct("<i")
MIN_HEADER = 2  # "{}"
MAX_HEADER = 65_536
MAX_NESTING = 32

Fields: TypeAlias = dict[str, Any]


@dataclass(frozen=True)
class Header:
    """A complete, valid header. ``total_size`` bytes of payload follow."""

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
    """The frame is complete; the next byte belongs to the next frame."""


Event: TypeAlias = Header | Payload | End


def encode(fields: Mapping[str, Any], payload: bytes = b"") -> bytes:
    """A complete frame with ``payload``. ``total_size`` is filled in.

    Raises LocalProtocolError if the header isn't JSON-serializable or exceeds a limit.
    """
    return encode_header({**fields, "total_size": len(payload)}) + payload


def encode_header(fields: Mapping[str, Any]) -> bytes:
    """The length and header of a frame. The caller sends the ``total_size`` bytes of payload itself.

    Raises LocalProtocolError if the header isn't JSON-serializable or exceeds a limit.
    """
    try:
        raw = json.dumps(fields, ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode()
    except (TypeError, ValueError, RecursionError) as error:  # UnicodeEncodeError is a ValueError
        raise LocalProtocolError("header-invalid", f"header is not JSON-serializable: {error}") from None
    try:
        check_length(len(raw))
        parse_header(raw)
    except ProtocolError as error:
        raise LocalProtocolError(error.code, str(error)) from None
    return PREFIX.pack(len(raw)) + raw


def check_length(length: int) -> None:
    """Raises RemoteProtocolError if ``length`` is not a valid length of a header."""
    if length < MIN_HEADER:
        raise RemoteProtocolError("header-too-short", f"header length {length} is below {MIN_HEADER}")
    if length > MAX_HEADER:
        raise RemoteProtocolError("header-too-long", f"header length {length} is above {MAX_HEADER}")


def parse_header(raw: bytes) -> Fields:
    """The JSON object in ``raw``: no duplicate keys, no NaN, integers 0 to 2^53, nesting at most 32.

    Raises RemoteProtocolError, also if ``total_size`` is missing or not an integer.
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
        raise _invalid("not a JSON object")
    if "\\u" in text and not _encodable(value):
        raise _invalid("a lone surrogate")
    _checks.integer("total_size", value.get("total_size"))
    return value


def _invalid(problem: str) -> RemoteProtocolError:
    return RemoteProtocolError("header-invalid", f"header: {problem}")


_checks = FieldChecks(lambda name, problem: _invalid(f"{name} {problem}"))


def _object(pairs: list[tuple[str, Any]]) -> Fields:
    fields = dict(pairs)
    if len(fields) != len(pairs):
        raise _invalid("duplicate key")
    return fields


def _refuse_constant(name: str) -> Any:
    raise _invalid(f"{name} is not a JSON number")


def _integer(digits: str) -> int:
    # Check the length first: int() of a long string is slow, and Python refuses more than 4300 digits.
    if len(digits) > 16 or not 0 <= int(digits) <= MAX_INTEGER:
        raise _invalid("an integer is outside 0 to 2^53")
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
    """Counts brackets outside strings, before the JSON parser recurses into them."""
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
    """Turns the bytes of one direction of a connection into events.

    After a RemoteProtocolError every further call raises it again: the start of the next frame is unknown.
    """

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._length: int | None = None  # of the current header, once its prefix has arrived
        self._payload_left: int | None = None  # None: no header yet
        self._error: ProtocolError | None = None

    @property
    def wanted(self) -> int:
        """The number of bytes up to the end of the current prefix, header or payload."""
        if self._payload_left is not None:
            return self._payload_left
        target = PREFIX.size if self._length is None else PREFIX.size + self._length
        return target - len(self._buffer)

    @property
    def between_frames(self) -> bool:
        """True if nothing of the next frame has arrived, so that the stream may end here."""
        return self._payload_left is None and not self._buffer

    @property
    def in_header(self) -> bool:
        """True from the first byte of a header to its last, the time its deadline applies to."""
        return self._payload_left is None and bool(self._buffer)

    def feed(self, data: bytes | bytearray | memoryview) -> Iterator[Event]:
        """The events that ``data`` completes. Consume all of them before the next call.

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
        """Reports ``count`` bytes of payload that the caller read itself. True at the end of the frame.

        Raises LocalProtocolError if the payload has fewer bytes left.
        """
        if self._payload_left is None or not 0 <= count <= self._payload_left:
            raise LocalProtocolError("took-too-much", f"{count} bytes are more than the rest of the payload")
        self._payload_left -= count
        if self._payload_left:
            return False
        self._payload_left = None
        return True

    def end(self) -> None:
        """Call it at the end of the stream. Raises TruncatedError inside a frame, or an earlier error."""
        if self._error is not None:
            raise self._error
        if self._payload_left is not None:
            raise TruncatedError(f"the stream ended {self._payload_left} bytes before the end of a payload")
        if self._buffer:
            raise TruncatedError("the stream ended inside a header")

    def _feed_header(self, view: memoryview) -> memoryview:
        """Takes the bytes of the header from ``view`` and returns the rest."""
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
