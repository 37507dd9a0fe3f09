"""The progress of transfers: a bar on a terminal, JSON lines for programs, one line per result."""

from __future__ import annotations

import shutil
import sys
import time
import unicodedata
from typing import TextIO

from lab.programs.console import Console, describe
from lab.programs.transfer.client import Outcome
from lab.programs.transfer.frame_stream import ProgressCallback
from lab.protocols.printable import printable
from lab.protocols.transfer import RESUME_ALIGNMENT

_BAR_INTERVAL = 0.1  # seconds between two drawings of the bar
_JSON_INTERVAL = 0.5
_WIDTH = 24  # characters of the bar


class Report:
    """Prints the progress and the results of one command's transfers."""

    def __init__(self, console: Console, name: str, terminal: TextIO = sys.stderr) -> None:
        self.skipped = 0
        self.resumable = False  # whether the transfer could be resumed if it were interrupted now
        self._console = console
        self._name = name
        self._terminal = terminal
        self._shows_bar = terminal.isatty() and not console.as_json
        self._started = self._drawn = 0.0

    def begin(self, path: str, size: int) -> ProgressCallback:
        """Begins a file. Call the result with the number of bytes that are done."""
        self._started = self._drawn = time.monotonic()
        self.resumable = False

        def on_progress(done: int) -> None:
            self.resumable = done >= RESUME_ALIGNMENT
            now = time.monotonic()
            if self._shows_bar and now - self._drawn >= _BAR_INTERVAL:
                self._drawn = now
                self._draw(path, done, size, now - self._started)
            elif self._console.as_json and now - self._drawn >= _JSON_INTERVAL:
                self._drawn = now
                self._console.say(
                    "progress", f"{path}: {done} of {size} bytes", path=path, done=done, size=size
                )

        return on_progress

    def end(self, event: str, path: str, where: str, outcome: Outcome) -> None:
        """Prints that the file is complete and verified."""
        seconds = time.monotonic() - self._started
        self.clear()
        self.resumable = False
        moved = outcome.size - outcome.resumed_from
        resumed = f", resumed at {human(outcome.resumed_from)}" if outcome.resumed_from else ""
        self._console.say(
            event,
            f"{path} → {where}  {human(outcome.size)} in {seconds:.2f} s ({rate(moved, seconds)}){resumed}"
            f"  sha256 {outcome.digest}",
            path=path, to=where, size=outcome.size, digest=outcome.digest, seconds=round(seconds, 6),
            resumed_from=outcome.resumed_from,
        )  # fmt: skip

    def skip(self, path: str, why: str | BaseException) -> None:
        """Reports a file that isn't transferred. The command then exits with 1."""
        self.skipped += 1
        self.clear()
        text = why if isinstance(why, str) else describe(why)
        print(f"{self._name}: {printable(path)}: skipped: {printable(text)}", file=sys.stderr, flush=True)
        if self._console.as_json:
            self._console.say("skipped", f"{path}: {text}", path=path, reason=text)

    def clear(self) -> None:
        """Removes the bar from the terminal."""
        if self._shows_bar:
            self._terminal.write("\r\x1b[K")
            self._terminal.flush()

    def _draw(self, path: str, done: int, size: int, seconds: float) -> None:
        part = done / size if size else 1.0
        bar = "█" * round(part * _WIDTH) + "░" * (_WIDTH - round(part * _WIDTH))
        left = seconds * (size - done) / done if done else 0.0
        state = f"{bar} {part:4.0%} {human(done)}  {rate(done, seconds)}  {left:.0f} s left"
        cells = shutil.get_terminal_size().columns - len(state) - 2
        line = f"{fit(printable(path), cells)} {state}"
        self._terminal.write(f"\r{line}\x1b[K")
        self._terminal.flush()


def fit(text: str, cells: int) -> str:
    """The end of ``text`` that fits into ``cells`` columns of a terminal; CJK characters take two."""
    for start in range(len(text)):
        if sum(1 + (unicodedata.east_asian_width(c) in "WF") for c in text[start:]) <= cells:
            return text[start:]
    return ""


def human(count: float) -> str:
    """A number of bytes for people: ``1.5 MiB``."""
    for unit in ("B", "KiB", "MiB", "GiB"):
        if count < 1024:
            return f"{count:.0f} B" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1024
    return f"{count:.1f} TiB"


def rate(count: float, seconds: float) -> str:
    """A rate for people, in bits per second: ``8.0 Mbit/s``."""
    bits = 8 * count / seconds if seconds > 0 else 0.0
    for unit in ("bit/s", "kbit/s", "Mbit/s"):
        if bits < 1000:
            return f"{bits:.1f} {unit}"
        bits /= 1000
    return f"{bits:.1f} Gbit/s"
