"""Remote commands: four ways to say where an answer ends, from not at all (raw) to frames.

    raw     command → stderr, stdout                              nothing says where the answer ends
    length  command → int32 length, then stdout or else stderr    complete, but no exit code
    header  command → int32 length, JSON header, stdout, stderr   verified (md5); unframed commands
    frame   framed both ways: run → stdout and stderr frames as they come, then an exit frame

Here are the requests, and what a server takes for one; the answers are in command_answers. The three
tutorial protocols take whatever one ``recv`` brought for one command.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

from lab.protocols import framing
from lab.protocols.errors import LocalProtocolError, ProtocolError, RemoteProtocolError

PORTS = {"raw": 8080, "length": 11111, "header": 20000, "frame": 20000}
PROTOCOLS = tuple(PORTS)
MAX_COMMAND = 32_768  # bytes: whole in one header, and below Linux's 128 KiB for one argument
MAX_OUTPUT = 64 * 1024 * 1024  # bytes of stdout and stderr together
TIMEOUT = 30.0  # seconds that a command may take
MAX_TIMEOUT = 86_400.0
LENGTH = struct.Struct("<i")
EXIT = b"exit"  # ends a length session

# What a peer may name: codecs of consoles. Python knows others (idna, undefined …) that buffer or fail.
ENCODINGS = frozenset(
    "utf-8 ascii latin-1 gbk gb2312 gb18030 big5 shift_jis euc-jp euc-kr koi8-r cp437 cp850 cp866 cp932 "
    "cp936 cp949 cp950 cp1250 cp1251 cp1252 cp1253 cp1254 cp1257".split()
)

# Bytes that no text has, in UTF-8, GBK and their like; TAB, line ends and ESC may be typed.
_NOT_TEXT = re.compile(rb"[\x00-\x08\x0e-\x1a\x1c-\x1f\x7f\xff]")


@dataclass(frozen=True)
class Run:
    """Run ``command``, at most ``timeout`` seconds (the server's own limit holds anyway)."""

    command: str
    timeout: float | None = None
    encoding: str | None = None


@dataclass(frozen=True)
class Cancel:
    """Interrupt the command that runs; the session goes on. Means nothing when none runs."""


Request: TypeAlias = Run | Cancel


def encode_request(request: Request) -> bytes:
    """The frame of a request. Raises LocalProtocolError where a server would refuse it."""
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
    """The server's side of a frame session: bytes in, requests out."""

    def __init__(self) -> None:
        self._frames = framing.Decoder()

    @property
    def in_header(self) -> bool:
        """True while a request has begun and isn't whole."""
        return self._frames.in_header

    def feed(self, data: bytes) -> Iterator[Request]:
        """The requests that ``data`` completes. Raises RemoteProtocolError."""
        for event in self._frames.feed(data):
            if isinstance(event, framing.Header):
                yield _parse_request(event.fields)

    def end(self) -> None:
        """Says that the stream ended. Raises TruncatedError in the middle of a request."""
        self._frames.end()


def _parse_request(fields: Mapping[str, Any]) -> Request:
    if fields["total_size"]:
        raise RemoteProtocolError("payload-unexpected", "a request has no payload")
    op = fields.get("op")
    if op == "cancel":
        return Cancel()
    if op != "run":
        raise RemoteProtocolError("op-unknown", "op is neither run nor cancel")
    command, timeout, encoding = fields.get("command"), fields.get("timeout"), fields.get("encoding")
    if not isinstance(command, str):
        raise RemoteProtocolError("command-invalid", "command is missing or no text")
    if encoding is not None and (not isinstance(encoding, str) or encoding not in ENCODINGS):
        raise RemoteProtocolError("encoding-unknown", "encoding is none of a console")
    if timeout is None:
        return Run(command, None, encoding)
    if isinstance(timeout, bool) or not isinstance(timeout, int | float) or not 0 < timeout <= MAX_TIMEOUT:
        raise RemoteProtocolError("timeout-invalid", f"timeout is not within 0 … {MAX_TIMEOUT:.0f} seconds")
    return Run(command, float(timeout), encoding)


def command_bytes(command: str | bytes, encoding: str = "utf-8") -> bytes:
    """The command as a shell of that ``encoding`` takes it.

    Bytes come from a tutorial client, which sends UTF-8 whatever the shell speaks; what is no UTF-8 is
    handed on unchanged. Raises RemoteProtocolError where no shell could run it: too long, or a NUL.
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
            raise RemoteProtocolError("command-invalid", f"the command can't be said in {encoding}") from None
    if len(raw) > MAX_COMMAND:
        raise RemoteProtocolError("command-too-long", f"the command has more than {MAX_COMMAND} bytes")
    if b"\0" in raw:
        raise RemoteProtocolError("command-invalid", "the command holds a NUL")
    return raw


def encode_tutorial_command(command: str) -> bytes:
    """The command as tutorial clients send it: nothing around it, so it can't be empty.

    Raises LocalProtocolError where a server would refuse it.
    """
    try:
        raw = command_bytes(command)
        check_tutorial_command(raw)
    except ProtocolError as error:
        raise LocalProtocolError(error.code, str(error)) from None
    if not raw:
        raise LocalProtocolError("command-invalid", "an empty command sends nothing: both sides would wait")
    return raw


def check_tutorial_command(chunk: bytes) -> None:
    """Raises RemoteProtocolError where an unframed ``chunk`` isn't text: a broken frame, or noise."""
    if _NOT_TEXT.search(chunk):
        raise RemoteProtocolError("command-invalid", "the command holds bytes that no text has")


def is_frame(chunk: bytes) -> bool | None:
    """Whether a session that begins with ``chunk`` speaks frames; None where that can't be told yet.

    A header has at most 65,536 bytes, so the third byte of a frame is 0 or 1 and its fourth 0, which no
    text has. One or two letters (``w``, ``ls``) may be either.
    """
    if len(chunk) >= LENGTH.size:
        return chunk[3] == 0
    if len(chunk) == 3:
        return chunk[2] <= 1
    return True if _NOT_TEXT.search(chunk) else None
