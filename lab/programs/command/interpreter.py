"""Command interpreters: a Unix shell, or Wine's cmd.exe.

cmd parses its command line itself, so the text must reach it unchanged. It can't be passed as an argument:
Wine joins all arguments to one line and escapes quotes in a way that cmd doesn't understand. So the text is
passed in a variable. A first cmd inserts it into the command line of a second cmd by delayed expansion,
which happens after parsing: the first cmd doesn't interpret the text, and the second gets it unchanged.
"""

from __future__ import annotations

import errno
import os
import shutil
from dataclasses import dataclass
from typing import TypeAlias

from lab.protocols.errors import RemoteProtocolError

CMD = "cmd"
MAX_LINE = 8000  # characters; the limit of cmd is 8,191, including its own name and options
_EXE = rb"C:\windows\system32\cmd.exe"

Call: TypeAlias = tuple[list[bytes], dict[bytes, bytes]]  # argv, and additional environment variables


@dataclass(frozen=True)
class UnixShell:
    """``program -c COMMAND``."""

    program: str
    encoding: str = "utf-8"  # of its commands and output

    def call(self, command: bytes) -> Call:
        return [os.fsencode(self.program), b"-c", command], {}


@dataclass(frozen=True)
class WineCmd:
    """``cmd /c COMMAND`` under Wine; its encoding is GBK if Wine's locale is Chinese."""

    program: str
    encoding: str = "gbk"

    def call(self, command: bytes) -> Call:
        """Raises RemoteProtocolError if the command is too long for cmd."""
        text = command.decode(self.encoding, "replace")
        if len(text) > MAX_LINE:
            raise RemoteProtocolError("command-too-long", f"cmd takes at most {MAX_LINE} characters")
        second = b"%LAB_QUOTE%!LAB_COMMAND!%LAB_QUOTE%"
        argv = [os.fsencode(self.program), _EXE, b"/v:on", b"/c", _EXE, b"/s", b"/c", second]
        # Wine expects arguments and variables in UTF-8, regardless of the encoding of cmd's output.
        return argv, {b"LAB_COMMAND": text.encode(), b"LAB_QUOTE": b'"'}


Interpreter: TypeAlias = UnixShell | WineCmd


def interpreter(name: str, encoding: str | None = None) -> Interpreter:
    """The interpreter that ``--shell`` names: a path, or ``cmd``. Raises OSError if it doesn't exist."""
    if name != CMD:
        os.stat(name)
        return UnixShell(name, encoding or UnixShell.encoding)
    wine = shutil.which("wine")
    if wine is None:
        raise FileNotFoundError(errno.ENOENT, "no wine on the PATH, which is needed for cmd", name)
    return WineCmd(wine, encoding or WineCmd.encoding)
