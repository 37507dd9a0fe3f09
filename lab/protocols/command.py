"""Requests of the remote command protocols. The four protocols mark the end of an answer differently:

    raw     command → stderr, stdout                              no mark at all
    length  command → int32 length, then stdout or else stderr    complete, but no exit code
    header  command → int32 length, JSON header, stdout, stderr   verified (md5); unframed commands
    frame   framed both ways: run → stdout and stderr frames as they come, then an exit frame

In the three tutorial protocols (raw, length, header) the result of one ``recv`` is a command. The answers
are in command_answers.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

from lab.protocols import framing
from lab.protocols.errors import LocalProtocolError, ProtocolError, RemoteProtocolError
from lab.protocols.fields import FieldChecks

PORTS = {"raw": 8080, "length": 11111, "header": 20000, "frame": 20000}
PROTOCOLS = tuple(PORTS)
MAX_COMMAND = 32_768  # bytes: fits in one header, and is below Linux's 128 KiB for one argument
MAX_OUTPUT = 64 * 1024 * 1024  # bytes of stdout and stderr together
TIMEOUT = 30.0  # seconds that a command may run
MIN_TIMEOUT, MAX_TIMEOUT = 0.001, 86_400.0
LENGTH = struct.Struct("<i")
EXIT = b"exit"  # ends a length session

# The console encodings that a peer may name. Other codecs of Python (idna, undefined …) buffer or fail.
ENCODINGS = frozenset(
    "utf-8 ascii latin-1 gbk gb2312 gb18030 big5 shift_jis euc-jp euc-kr koi8-r cp437 cp850 cp866 cp932 "
    "cp936 cp949 cp950 cp1250 cp1251 cp1252 cp1253 cp1254 cp1257".split()
)

# Bytes that never occur in text, be it UTF-8, GBK or similar. TAB, line ends and ESC can be typed.
_NOT_TEXT = re.compile(rb"[\x00-\x08\x0e-\x1a\x1c-\x1f\x7f\xff]")


@dataclass(frozen=True)
class Run:
    """Run ``command`` for at most ``timeout`` seconds; the server's own limit applies too."""

    command: str
    timeout: float | None = None
    encoding: str | None = None


@dataclass(frozen=True)
class Cancel:
    """Interrupt the running command; the session continues. Has no effect if no command is running."""


Request: TypeAlias = Run | Cancel

_timeout = FieldChecks(lambda name, problem: RemoteProtocolError("timeout-invalid", f"{name} {problem}"))


def encode_request(request: Request) -> bytes:
    """The frame of a request. Raises LocalProtocolError if a server would refuse it."""
    if isinstance(request, Cancel):
        return framing.encode({"op": "cancel"})
    fields: dict[str, Any] = {"op": "run", "command": request.command}
    if request.timeout is not None:
        fields["timeout"] = request.timeout
    if request.encoding is not None:
        fields["encoding"] = request.encoding
    try:
        command_bytes(request.command)
        _parse_request({**fields, "total_size": 0})
        return framing.encode(fields)
    except ProtocolError as error:
        raise LocalProtocolError(error.code, str(error)) from None


class RequestDecoder:
    """Turns the bytes of a frame session into requests, on the server's side."""

    def __init__(self) -> None:
        self._frames = framing.Decoder()

    @property
    def in_header(self) -> bool:
        """True while a request has arrived only in part."""
        return self._frames.in_header

    def feed(self, data: bytes) -> Iterator[Request]:
        """The requests that ``data`` completes. Raises RemoteProtocolError."""
        for event in self._frames.feed(data):
            if isinstance(event, framing.Header):
                yield _parse_request(event.fields)

    def end(self) -> None:
        """Call it at the end of the stream. Raises TruncatedError in the middle of a request."""
        self._frames.end()


def _parse_request(fields: Mapping[str, Any]) -> Request:
    if fields["total_size"]:
        raise RemoteProtocolError("payload-unexpected", "a request must not have a payload")
    op = fields.get("op")
    if op == "cancel":
        return Cancel()
    if op != "run":
        raise RemoteProtocolError("op-unknown", "unknown op: expected run or cancel")
    command, timeout, encoding = fields.get("command"), fields.get("timeout"), fields.get("encoding")
    if not isinstance(command, str):
        raise RemoteProtocolError("command-invalid", "command must be a string")
    if encoding is not None and (not isinstance(encoding, str) or encoding not in ENCODINGS):
        raise RemoteProtocolError("encoding-unknown", "encoding must be a known console encoding")
    if timeout is None:
        return Run(command, None, encoding)
    return Run(command, _timeout.number("timeout", timeout, MIN_TIMEOUT, MAX_TIMEOUT, "seconds"), encoding)


def command_bytes(command: str | bytes, encoding: str = "utf-8") -> bytes:
    """The command as the bytes that a shell with this ``encoding`` expects.

    ``command`` is bytes if it comes from a tutorial client, which sends UTF-8 regardless of the shell; bytes
    that aren't valid UTF-8 are passed on unchanged. Raises RemoteProtocolError if no shell can run the
    command because it is too long or contains a NUL.
    """
    if isinstance(command, bytes):
        try:
            raw = command.decode().encode(encoding)
        except UnicodeError:
            raw = command
    else:
        try:
            raw = command.encode(encoding)
        except UnicodeError:
            raise RemoteProtocolError(
                "command-invalid", f"the command can't be encoded as {encoding}"
            ) from None
    if len(raw) > MAX_COMMAND:
        raise RemoteProtocolError("command-too-long", f"the command is longer than {MAX_COMMAND} bytes")
    if b"\0" in raw:
        raise RemoteProtocolError("command-invalid", "the command contains a NUL")
    return raw


def encode_tutorial_command(command: str) -> bytes:
    """The command as tutorial clients send it: the bare text, so it can't be empty.

    Raises LocalProtocolError if a server would refuse it.
    """
    try:
        raw = command_bytes(command)
        check_tutorial_command(raw)
    except ProtocolError as error:
        raise LocalProtocolError(error.code, str(error)) from None
    if not raw:
        raise LocalProtocolError(
            "command-invalid", "an empty command sends nothing, so both sides would wait"
        )
    return raw


def check_tutorial_command(chunk: bytes) -> None:
    """Raises RemoteProtocolError if ``chunk`` isn't text but, for example, a broken frame."""
    if _NOT_TEXT.search(chunk):
        raise RemoteProtocolError("command-invalid", "the command contains bytes that never occur in text")


def is_frame(chunk: bytes) -> bool | None:
    """Whether a session that begins with ``chunk`` uses frames; None if more bytes are needed to decide.

    A header has at most 65,536 bytes, so the third byte of a frame is 0 or 1 and the fourth is 0. Neither
    occurs in text. One or two letters (``w``, ``ls``) may still be the beginning of a frame.
    """
    if len(chunk) >= LENGTH.size:
        return chunk[3] == 0
    if len(chunk) == 3:
        return chunk[2] <= 1
    return True if _NOT_TEXT.search(chunk) else None
