"""How a command line becomes a process: by a shell of Unix, or by Wine's cmd.exe.

cmd parses its command line itself, so the text must reach it unharmed. As an argument of a Unix process
it doesn't: Wine makes one line of all arguments and escapes each quote, in a way that cmd doesn't know.
So the text goes in a variable, and a first cmd puts it into the line of a second one by delayed expansion,
which happens after parsing: the first doesn't look into it, the second gets it as it is.
"""

from __future__ import annotations

import errno
import os
import shutil
from dataclasses import dataclass
from typing import TypeAlias

from lab.protocols.errors import RemoteProtocolError

CMD = "cmd"
MAX_LINE = 8000  # characters; cmd's own limit is 8,191, with its own name and options in it
_EXE = rb"C:\windows\system32\cmd.exe"

Call: TypeAlias = tuple[list[bytes], dict[bytes, bytes]]  # argv, and what the environment has besides


@dataclass(frozen=True)
class UnixShell:
    """``program -c COMMAND``."""

    program: str
    encoding: str = "utf-8"  # of what it takes and puts out

    def call(self, command: bytes) -> Call:
        return [os.fsencode(self.program), b"-c", command], {}


@dataclass(frozen=True)
class WineCmd:
    """``cmd /c COMMAND`` under Wine; it speaks GBK where Wine's locale is Chinese."""

    program: str
    encoding: str = "gbk"

    def call(self, command: bytes) -> Call:
        """Raises RemoteProtocolError where the command is longer than cmd takes."""
        text = command.decode(self.encoding, "replace")
        if len(text) > MAX_LINE:
            raise RemoteProtocolError("command-too-long", f"cmd takes at most {MAX_LINE} characters")
        second = b"%LAB_QUOTE%!LAB_COMMAND!%LAB_QUOTE%"
        argv = [os.fsencode(self.program), _EXE, b"/v:on", b"/c", _EXE, b"/s", b"/c", second]
        # Wine takes arguments and variables for UTF-8, whatever cmd puts out.
        return argv, {b"LAB_COMMAND": text.encode(), b"LAB_QUOTE": b'"'}


Interpreter: TypeAlias = UnixShell | WineCmd


def interpreter(name: str, encoding: str | None = None) -> Interpreter:
    """The one that ``--shell`` names: a path, or ``cmd``. Raises OSError where it isn't there."""
    if name != CMD:
        os.stat(name)
        return UnixShell(name, encoding or UnixShell.encoding)
    wine = shutil.which("wine")
    if wine is None:
        raise FileNotFoundError(errno.ENOENT, "no wine on the PATH, which cmd runs in", name)
    return WineCmd(wine, encoding or WineCmd.encoding)
