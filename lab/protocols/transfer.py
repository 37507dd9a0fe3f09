"""The messages of a file transfer: a client's requests and the server's answers.

    put     C: put ──────────► S: ready ──► C: data + payload, then digest ──► S: stored
    get     C: get ──────────► S: content + payload, then digest
    resume  C: find-partial ─► S: partial {offset}; then put or get with an offset and the prefix's digest
    others  C: list, stat, remove, mkdir ─► S: entries … end, status, done
    any     S: error {code, text} instead; after a refusal the session continues

Every message is a frozen dataclass that checks its fields when it is made, whether they are our own or come
from a peer's header; one table holds the checks. The digest covers the whole file and follows the payload:
the sender reads the file only once, and the receiver verifies it before the file gets its name.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

from lab.protocols import framing
from lab.protocols.errors import LocalProtocolError, ProtocolError, RemoteProtocolError
from lab.protocols.fields import FieldChecks
from lab.protocols.names import MAX_NAME, Path, check_name, check_path

DEFAULT_PORT = 20_001
ALGORITHM = "sha256"
MAX_SHOWN_NAME = 4 * MAX_NAME  # characters of an unnamable name: each byte escaped as \xNN
MAX_TEXT = 4096  # characters of an error's text
ENTRIES_PER_FRAME = 40  # even with the longest names, all escaped, they fit in one header
RESUME_ALIGNMENT = 1 << 20  # bytes; a transfer resumes at a multiple of this
KINDS = ("file", "directory", "symlink", "special", "unnamable")


class Refusal(ProtocolError):
    """The request is valid, but the server refuses it. The session continues.

    Codes: name-refused, not-found, exists, not-a-file, not-a-directory, not-empty, symlink, denied,
    conflict, digest-mismatch, no-space, read-only, busy, failed.
    """


def _wrong(field: str, problem: str) -> LocalProtocolError:
    return LocalProtocolError("bad-message", f"{field} {problem}")


_checks = FieldChecks(_wrong)


def _entries(name: str, value: object) -> tuple[Entry, ...]:
    items = _checks.items(name, value, ENTRIES_PER_FRAME)
    return tuple(item if isinstance(item, Entry) else _make(Entry, item) for item in items)


def _digest(name: str, value: object) -> str:
    return _checks.matching(name, value, "([0-9a-f]{64})?", "a SHA-256 digest in lower-case hex")


# A field has the same meaning in every message.
_CHECK_BY_NAME: dict[str, Callable[[str, object], object]] = {
    "path": lambda name, value: check_path(_checks.items(name, value, sys.maxsize)),
    "size": _checks.integer,
    "offset": _checks.integer,
    "count": _checks.integer,
    "mode": lambda name, value: _checks.integer(name, value, 0, 0o777),
    "mtime": lambda name, value: _checks.number(name, value, 0, 2**33, "seconds"),
    "digest": _digest,
    "prefix_digest": _digest,
    "algorithm": lambda name, value: _checks.one_of(name, value, (ALGORITHM,)),
    "kind": lambda name, value: _checks.one_of(name, value, KINDS),
    "entries": _entries,
    "recursive": _checks.boolean,
    "parents": _checks.boolean,
    "want_digest": _checks.boolean,
    "code": lambda name, value: _checks.matching(name, value, "[a-z][a-z-]{0,39}", "a short lower-case word"),
    "text": lambda name, value: _checks.text(name, value, MAX_TEXT),
}


@dataclass(frozen=True)
class Message:
    """The base of all messages. The constructor raises LocalProtocolError if a field is invalid."""

    def __post_init__(self) -> None:
        for field in fields(self):
            if field.name in _CHECK_BY_NAME:
                check = _CHECK_BY_NAME[field.name]
                object.__setattr__(self, field.name, check(field.name, getattr(self, field.name)))
        self._check()

    def _check(self) -> None:
        """Checks the fields against each other. Raises LocalProtocolError."""


@dataclass(frozen=True)
class _Resumable(Message):
    """Transfers a file, whole or from ``offset`` on; ``prefix_digest`` covers the bytes before it."""

    path: Path
    offset: int = 0
    prefix_digest: str = ""
    algorithm: str = ALGORITHM

    def _check(self) -> None:
        _require(bool(self.path), "path", "must not be empty")
        together = bool(self.offset) == bool(self.prefix_digest)
        _require(together, "offset", "and prefix_digest must be given together")


@dataclass(frozen=True)
class Put(_Resumable):
    """Store a file of ``size`` bytes. ``mode``: permission bits; ``mtime``: seconds since 1970."""

    size: int = 0
    mode: int = 0o644
    mtime: float = 0.0

    def _check(self) -> None:
        super()._check()
        _require(self.offset <= self.size, "offset", "must not be larger than the size")


@dataclass(frozen=True)
class Get(_Resumable):
    """Send a file."""


@dataclass(frozen=True)
class FindPartial(Message):
    """Ask how much of an interrupted put the server has."""

    path: Path


@dataclass(frozen=True)
class List(Message):
    """List a directory."""

    path: Path


@dataclass(frozen=True)
class Stat(Message):
    """Ask for the status of a path. ``want_digest``: also for the digest of a file's content."""

    path: Path
    want_digest: bool = False


@dataclass(frozen=True)
class Remove(Message):
    """Remove a file or an empty directory; ``recursive``: a directory and everything in it."""

    path: Path
    recursive: bool = False


@dataclass(frozen=True)
class MakeDirectory(Message):
    """Create a directory; ``parents``: also its missing parents, and it may exist already."""

    path: Path
    parents: bool = False


@dataclass(frozen=True)
class Data(Message):
    """The payload of this frame is the file's content from ``offset`` on."""


@dataclass(frozen=True)
class Digest(Message):
    """The digest of the whole file, including the prefix. It follows the payload."""

    digest: str

    def _check(self) -> None:
        _require(self.digest != "", "digest", "must not be empty")


@dataclass(frozen=True)
class Ready(Message):
    """Send the content now."""


@dataclass(frozen=True)
class Stored(Message):
    """The file is complete, verified, on disk and renamed to its final name."""

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
        _require(self.offset <= self.size, "offset", "must not be larger than the size")


@dataclass(frozen=True)
class Partial(Message):
    """The server has the first ``offset`` bytes; 0 if it has nothing."""

    offset: int


@dataclass(frozen=True)
class Entry(Message):
    """One name in a directory. An ``unnamable`` name is escaped and can't be used in a request."""

    name: str
    kind: str
    size: int
    mode: int
    mtime: float

    def _check(self) -> None:
        if self.kind != "unnamable":
            check_name(self.name)
        elif not isinstance(self.name, str) or len(self.name) > MAX_SHOWN_NAME:
            raise _wrong("name", f"must be a string of at most {MAX_SHOWN_NAME} characters")


@dataclass(frozen=True)
class Entries(Message):
    """Some entries of a directory."""

    entries: tuple[Entry, ...]


@dataclass(frozen=True)
class EndOfList(Message):
    """There are no more entries."""


@dataclass(frozen=True)
class Status(Message):
    """The status of a path. ``digest`` is empty unless it was requested."""

    kind: str
    size: int
    mode: int
    mtime: float
    digest: str = ""


@dataclass(frozen=True)
class Done(Message):
    """The request succeeded; ``count`` files and directories were created or removed."""

    count: int


@dataclass(frozen=True)
class Error(Message):
    """The request failed, and nothing has changed."""

    code: str
    text: str


# The values of "op" in a client's header and of "status" in a server's.
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
    """The header of a client's frame. ``total_size``: bytes of payload that follow."""
    return _encode("op", REQUESTS, message, total_size)


def encode_answer(message: Message, total_size: int = 0) -> bytes:
    """The header of a server's frame. ``total_size``: bytes of payload that follow."""
    return _encode("status", ANSWERS, message, total_size)


def parse_request(header: framing.Fields) -> Message:
    """The request in a client's header. Raises RemoteProtocolError, or Refusal if only a name is invalid."""
    try:
        return _parse("op", REQUESTS, header)
    except LocalProtocolError as error:
        kind = Refusal if error.code == "name-refused" else RemoteProtocolError
        raise kind(error.code, str(error)) from None


def parse_answer(header: framing.Fields) -> Message:
    """The answer in a server's header. Raises RemoteProtocolError."""
    try:
        message = _parse("status", ANSWERS, header)
    except LocalProtocolError as error:
        raise RemoteProtocolError(error.code, str(error)) from None
    if isinstance(message, Content) and header["total_size"] != message.size - message.offset:
        raise RemoteProtocolError("bad-message", "the payload must be the rest of the file")
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
        raise _wrong("total_size", f"of {word!a} must be 0")
    message: Message = _make(kind, header)
    return message


def _make(kind: type[Any], values: object) -> Any:
    """A message from a peer's values. Unknown keys are ignored, so that new fields can be added later."""
    known = _checks.mapping("a message", values)
    try:
        return kind(**{field.name: known[field.name] for field in fields(kind) if field.name in known})
    except TypeError:
        raise _wrong(kind.__name__, "lacks a field") from None


def _require(condition: bool, field: str, what: str) -> None:
    if not condition:
        raise _wrong(field, what)
