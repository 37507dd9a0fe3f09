"""Finds the line of each key in a TOML document. tomllib provides only the values."""

from __future__ import annotations

import re
import tomllib
from collections import Counter
from collections.abc import Iterator

from lab.topology.errors import Path

_TOKEN = re.compile(
    r'''
    """(?:\\.|[^\\])*?"{3,5}    |  \'\'\'.*?\'{3,5}    # strings of several lines
    | "(?:\\.|[^"\\\n])*"       |  '[^'\n]*'
    | \#[^\n]*                  |  \n
    | [][{}=,.]
    | [^][{}=,.\s"'#]+
    ''',
    re.VERBOSE | re.DOTALL,
)


class Lines:
    """The lines of the keys, and of the elements of arrays, in a valid TOML document."""

    def __init__(self, text: str) -> None:
        self._lines: dict[Path, int] = {}
        self._arrays: Counter[Path] = Counter()  # tables so far, by the name of their [[array]]
        self._tokens = list(_tokens(text))[::-1]
        table: Path = ()
        while self._next_after_newlines():
            if self._next == "[":
                table = self._header()
            else:
                self._pair(table)

    def __getitem__(self, path: Path) -> int:
        """The line of the value at ``path``, or else of the nearest table around it; 1 if there is none.

        A singular key also finds the plural: the line of ``segments`` for ``segment``.
        """
        if path in self._lines or not path:
            return self._lines.get(path, 1)
        plural = (*path[:-1], f"{path[-1]}s")
        return self._lines.get(plural) or self[path[:-1]]

    @property
    def _next(self) -> str:
        return self._tokens[-1][0] if self._tokens else ""

    def _take(self) -> tuple[str, int]:
        return self._tokens.pop()

    def _next_after_newlines(self) -> str:
        while self._next == "\n":
            self._take()
        return self._next

    def _note(self, path: Path, line: int) -> None:
        """Records the line of ``path``, and of the tables around it that have none yet."""
        for length in range(1, len(path) + 1):
            self._lines.setdefault(path[:length], line)

    def _header(self) -> Path:
        """A [table] or [[array]] header. Returns the path of the table."""
        brackets = 0
        while self._next == "[":
            self._take()
            brackets += 1
        keys, line = self._keys("]")
        for _ in range(brackets):
            self._take()
        path = keys
        if brackets == 2:
            path = (*keys, str(self._arrays[keys]))
            self._arrays[keys] += 1
        self._note(path, line)
        self._lines[path] = line
        return path

    def _pair(self, table: Path) -> None:
        keys, line = self._keys("=")
        self._take()
        self._note((*table, *keys), line)
        self._value((*table, *keys))

    def _keys(self, end: str) -> tuple[Path, int]:
        """A key, with dots or without, and its line."""
        line, keys = self._tokens[-1][1], []
        while self._next != end:
            word, _ = self._take()
            if word != ".":
                keys.append(_key(word))
        return tuple(keys), line

    def _value(self, path: Path) -> None:
        if self._next == "{":
            for _ in self._elements("}"):
                self._pair(path)
        elif self._next == "[":
            for index, line in enumerate(self._elements("]")):
                self._note((*path, str(index)), line)
                self._value((*path, str(index)))
        else:
            while self._next not in ("\n", ",", "]", "}", ""):
                self._take()

    def _elements(self, end: str) -> Iterator[int]:
        """Yields the line of each element before the closing bracket; the caller takes the element."""
        self._take()
        while self._next_after_newlines() != end:
            if self._next == ",":
                self._take()
            else:
                yield self._tokens[-1][1]
        self._take()


def _tokens(text: str) -> Iterator[tuple[str, int]]:
    """The tokens without comments, each with its line."""
    line, last = 1, 0
    for match in _TOKEN.finditer(text):
        line += text.count("\n", last, match.start())
        last = match.start()
        if not match[0].startswith("#"):
            yield match[0], line


def _key(word: str) -> str:
    """The text of a key, quoted or not."""
    (text,) = tomllib.loads(f"{word} = 0")
    return text
