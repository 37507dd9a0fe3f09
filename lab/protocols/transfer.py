"""The transfer session: what a client may ask of a file server, and what it may be told.

    put     C: put ──────────► S: ready ──► C: data + payload, then digest ──► S: stored
    get     C: get ──────────► S: content + payload, then digest
    resume  C: find-partial ─► S: partial {offset}; then put or get with an offset and the prefix's digest
    others  C: list, stat, remove, mkdir ─► S: entries … end, status, done
    any     S: error {code, text} instead; after a refusal the session goes on

Strategy: every message is a frozen dataclass that checks itself when it is made, from our own values or
from a peer's header alike, by one table of checks. A digest covers the whole file and comes after the
payload, so that the sender reads a file once and the receiver verifies before the file gets its name.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

from lab.protocols import framing
from lab.protocols.errors import LocalProtocolError, ProtocolError, RemoteProtocolError
from lab.protocols.names import MAX_NAME, Path, check_name, check_path

DEFAULT_PORT = 20_001
ALGORITHM = "sha256"
MAX_SHOWN_NAME = 4 * MAX_NAME  # an unnamable name, each byte escaped as \xNN
MAX_TEXT = 4096  # characters of an error's text
ENTRIES_A_FRAME = 40  # with the longest names, all escaped, still below the longest header
RESUME_ALIGNMENT = 1 << 20  # bytes: a transfer is resumed at a multiple of it
KINDS = ("file", "directory", "symlink", "special", "unnamable")


class Refusal(ProtocolError):
    """A request that was understood and isn't granted. The session goes on.

    Codes: name-refused, not-found, exists, not-a-file, not-a-directory, not-empty, symlink, denied,
    conflict, digest-mismatch, no-space, read-only, busy, failed.
    """


def _wrong(field: str, what: str) -> LocalProtocolError:
    return LocalProtocolError("bad-message", f"{field} {what}")


def _path(value: object) -> Path:
    if not isinstance(value, list | tuple):
        raise _wrong("path", "is no list of names")
    return check_path(value)


def _count(value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= framing.MAX_INTEGER:
        raise _wrong("a size or offset", "is no integer 0 … 2^53")
    return value


def _mode(value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= 0o777:
        raise _wrong("mode", "is no integer 0 … 0o777")
    return value


def _mtime(value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise _wrong("mtime", "is no number")
    if not (math.isfinite(value) and 0 <= value <= 2**33):
        raise _wrong("mtime", "is outside 0 … 2^33 seconds")
    return float(value)


def _digest(value: object) -> str:
    if value != "" and not (isinstance(value, str) and re.fullmatch("[0-9a-f]{64}", value)):
        raise _wrong("digest", "is no SHA-256 in lower-case hex")
    return str(value)


def _algorithm(value: object) -> str:
    if value != ALGORITHM:
        raise _wrong("algorithm", f"isn't {ALGORITHM}")
    return ALGORITHM


def _flag(value: object) -> bool:
    if not isinstance(value, bool):
        raise _wrong("a flag", "is neither true nor false")
    return value


def _kind(value: object) -> str:
    if value not in KINDS:
        raise _wrong("kind", "is unknown")
    return str(value)


def _text(value: object) -> str:
    if not isinstance(value, str) or len(value) > MAX_TEXT:
        raise _wrong("text", f"is no string of at most {MAX_TEXT} characters")
    return value


def _code(value: object) -> str:
    if not isinstance(value, str) or not re.fullmatch("[a-z][a-z-]{0,39}", value):
        raise _wrong("code", "is no short word")
    return value


def _entries(value: object) -> tuple[Entry, ...]:
    if not isinstance(value, list | tuple) or len(value) > ENTRIES_A_FRAME:
        raise _wrong("entries", f"is no list of at most {ENTRIES_A_FRAME}")
    return tuple(entry if isinstance(entry, Entry) else _make(Entry, entry) for entry in value)


# By the field's name, which means the same in every message.
_CHECKS: dict[str, Callable[[object], object]] = {
    "path": _path, "size": _count, "offset": _count, "count": _count, "mode": _mode, "mtime": _mtime,
    "digest": _digest, "prefix_digest": _digest, "algorithm": _algorithm, "kind": _kind, "entries": _entries,
    "recursive": _flag, "parents": _flag, "want_digest": _flag, "code": _code, "text": _text,
}  # fmt: skip


@dataclass(frozen=True)
class Message:
    """The base of all messages. Making one raises LocalProtocolError where a field can't be said."""

    def __post_init__(self) -> None:
        for field in fields(self):
            if field.name in _CHECKS:
                object.__setattr__(self, field.name, _CHECKS[field.name](getattr(self, field.name)))
        self._check()

    def _check(self) -> None:
        """What fields must be to each other."""


@dataclass(frozen=True)
class _Resumable(Message):
    """A transfer of a file, whole or from ``offset`` on; ``prefix_digest`` covers the bytes before."""

    path: Path
    offset: int = 0
    prefix_digest: str = ""
    algorithm: str = ALGORITHM

    def _check(self) -> None:
        _require(bool(self.path), "path", "names no file")
        _require(
            bool(self.offset) == bool(self.prefix_digest),
            "offset",
            "needs the prefix's digest, and only then",
        )


@dataclass(frozen=True)
class Put(_Resumable):
    """Store a file of ``size`` bytes. ``mode``: permission bits; ``mtime``: seconds since 1970."""

    size: int = 0
    mode: int = 0o644
    mtime: float = 0.0

    def _check(self) -> None:
        super()._check()
        _require(self.offset <= self.size, "offset", "is past the size")


@dataclass(frozen=True)
class Get(_Resumable):
    """Send a file."""


@dataclass(frozen=True)
class FindPartial(Message):
    """How much has arrived of a put that broke off?"""

    path: Path


@dataclass(frozen=True)
class List(Message):
    """What is in a directory?"""

    path: Path


@dataclass(frozen=True)
class Stat(Message):
    """What is at this path? ``want_digest``: also the digest of a file's content."""

    path: Path
    want_digest: bool = False


@dataclass(frozen=True)
class Remove(Message):
    """Remove a file or an empty directory; ``recursive``: a directory with all that is in it."""

    path: Path
    recursive: bool = False


@dataclass(frozen=True)
class MakeDirectory(Message):
    """Make a directory; ``parents``: also those above it, and it is no error that it exists."""

    path: Path
    parents: bool = False


@dataclass(frozen=True)
class Data(Message):
    """The payload of this frame is the file's content from the offset on."""


@dataclass(frozen=True)
class Digest(Message):
    """The digest of the whole file, prefix included, after its payload."""

    digest: str

    def _check(self) -> None:
        _require(self.digest != "", "digest", "is missing")


@dataclass(frozen=True)
class Ready(Message):
    """Send the content now."""


@dataclass(frozen=True)
class Stored(Message):
    """The file is complete, verified, on the disk, and has its name."""

    size: int
    digest: str


@dataclass(frozen=True)
class Content(Message):
    """The payload of this frame is a file's content from ``offset`` on; its digest follows."""

    size: int
    offset: int
    mode: int
    mtime: float

    def _check(self) -> None:
        _require(self.offset <= self.size, "offset", "is past the size")


@dataclass(frozen=True)
class Partial(Message):
    """``offset`` bytes are there to go on from; 0 where there is nothing."""

    offset: int


@dataclass(frozen=True)
class Entry(Message):
    """One name in a directory. The name of an ``unnamable`` one is escaped and can't be asked for."""

    name: str
    kind: str
    size: int
    mode: int
    mtime: float

    def _check(self) -> None:
        if self.kind != "unnamable":
            check_name(self.name)
        elif not isinstance(self.name, str) or len(self.name) > MAX_SHOWN_NAME:
            raise _wrong("name", "is too long")


@dataclass(frozen=True)
class Entries(Message):
    """Some of a directory's entries."""

    entries: tuple[Entry, ...]


@dataclass(frozen=True)
class EndOfList(Message):
    """There are no more entries."""


@dataclass(frozen=True)
class Status(Message):
    """What is at a path. ``digest`` is empty where it wasn't asked for."""

    kind: str
    size: int
    mode: int
    mtime: float
    digest: str = ""


@dataclass(frozen=True)
class Done(Message):
    """It is done; ``count`` files and directories were made or removed."""

    count: int


@dataclass(frozen=True)
class Error(Message):
    """It isn't done, and nothing has changed."""

    code: str
    text: str


# What a client says under "op", what a server says under "status".
REQUESTS: dict[str, type[Message]] = {
    "put": Put, "data": Data, "digest": Digest, "get": Get, "find-partial": FindPartial, "list": List,
    "stat": Stat, "remove": Remove, "mkdir": MakeDirectory,
}  # fmt: skip
ANSWERS: dict[str, type[Message]] = {
    "ready": Ready, "stored": Stored, "content": Content, "digest": Digest, "partial": Partial,
    "entries": Entries, "end": EndOfList, "status": Status, "done": Done, "error": Error,
}  # fmt: skip
_WITH_PAYLOAD = (Data, Content)


def encode_request(message: Message, total_size: int = 0) -> bytes:
    """The header of a client's frame."""
    return _encode("op", REQUESTS, message, total_size)


def encode_answer(message: Message, total_size: int = 0) -> bytes:
    """The header of a server's frame."""
    return _encode("status", ANSWERS, message, total_size)


def parse_request(header: framing.Fields) -> Message:
    """What a client says. Raises RemoteProtocolError, or Refusal where only a name is at fault."""
    try:
        return _parse("op", REQUESTS, header)
    except LocalProtocolError as error:
        kind = Refusal if error.code == "name-refused" else RemoteProtocolError
        raise kind(error.code, str(error)) from None


def parse_answer(header: framing.Fields) -> Message:
    """What a server says. Raises RemoteProtocolError."""
    try:
        message = _parse("status", ANSWERS, header)
    except LocalProtocolError as error:
        raise RemoteProtocolError(error.code, str(error)) from None
    if isinstance(message, Content) and header["total_size"] != message.size - message.offset:
        raise RemoteProtocolError("bad-message", "the payload isn't what is left of the file")
    return message


def _encode(key: str, kinds: Mapping[str, type[Message]], message: Message, total_size: int) -> bytes:
    (word,) = (word for word, kind in kinds.items() if kind is type(message))
    return framing.encode_header({key: word, **asdict(message), "total_size": total_size})


def _parse(key: str, kinds: Mapping[str, type[Message]], header: framing.Fields) -> Message:
    word = header.get(key)
    kind = kinds.get(word) if isinstance(word, str) else None
    if kind is None:
        raise _wrong(key, f"{str(word)[:40]!a} is unknown")
    if header["total_size"] and not issubclass(kind, _WITH_PAYLOAD):
        raise _wrong("total_size", f"of {word!a} isn't 0")
    message: Message = _make(kind, header)
    return message


def _make(kind: type[Any], values: object) -> Any:
    """A message from a peer's values. A key that is unknown is ignored, so that messages can grow."""
    if not isinstance(values, dict):
        raise _wrong("a message", "is no object")
    try:
        return kind(**{field.name: values[field.name] for field in fields(kind) if field.name in values})
    except TypeError:
        raise _wrong("a field", f"of {kind.__name__} is missing") from None


def _require(condition: bool, field: str, what: str) -> None:
    if not condition:
        raise _wrong(field, what)
