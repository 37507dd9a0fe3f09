"""Splits the output of a remote process into lines."""

from __future__ import annotations

import codecs
from collections.abc import Callable

MAX_LINE = 8192  # characters; a longer line without its end is passed on in pieces


class LineSplitter:
    """Calls ``on_line`` with each line as its bytes arrive. Bytes that aren't UTF-8 are shown escaped."""

    def __init__(self, on_line: Callable[[str], None]) -> None:
        self._on_line = on_line
        self._decoder = codecs.getincrementaldecoder("utf-8")("backslashreplace")
        self._rest = ""

    def feed(self, data: bytes) -> None:
        """Passes on the lines that ``data`` completes."""
        *lines, self._rest = (self._rest + self._decoder.decode(data)).split("\n")
        for line in lines:
            self._pass_on(line)
        while len(self._rest) > MAX_LINE:
            self._on_line(self._rest[:MAX_LINE])
            self._rest = self._rest[MAX_LINE:]

    def end(self) -> None:
        """Passes on a last line without a line end."""
        last = self._rest + self._decoder.decode(b"", final=True)
        self._rest = ""
        if last:
            self._pass_on(last)

    def _pass_on(self, line: str) -> None:
        self._on_line(line.removesuffix("\r"))
