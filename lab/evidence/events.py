"""Events: what a run consists of, each at one moment on the controller's clock."""

from __future__ import annotations

import codecs
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any, Literal, TypeAlias

Kind: TypeAlias = Literal["start", "stdout", "stderr", "exit", "fault", "note", "verdict"]


@dataclass(frozen=True)
class Event:
    """Something that happened. ``at`` is seconds since the epoch; ``node`` is a host's or router's name,
    or "lab"; ``program`` numbers the programs of a run, from 1 (0: none); ``text`` is one line.
    """

    at: float
    node: str
    kind: Kind
    text: str
    program: int = 0

    def as_json(self) -> dict[str, Any]:
        return asdict(self)


Observe: TypeAlias = Callable[[Event], None]


MAX_LINE = 8192  # characters; a longer line is passed on in pieces


class Lines:
    """Cuts one output stream into lines as its bytes come; what isn't UTF-8 is shown escaped."""

    def __init__(self, on_line: Callable[[str], None]) -> None:
        self._on_line = on_line
        self._decoder = codecs.getincrementaldecoder("utf-8")("backslashreplace")
        self._rest = ""

    def feed(self, data: bytes) -> None:
        *lines, self._rest = (self._rest + self._decoder.decode(data)).split("\n")
        for line in lines:
            self._pass_on(line)
        while len(self._rest) > MAX_LINE:
            self._on_line(self._rest[:MAX_LINE])
            self._rest = self._rest[MAX_LINE:]

    def end(self) -> None:
        """Passes on a last line that has no line end."""
        last = self._rest + self._decoder.decode(b"", final=True)
        self._rest = ""
        if last:
            self._pass_on(last)

    def _pass_on(self, line: str) -> None:
        self._on_line(line.removesuffix("\r"))
