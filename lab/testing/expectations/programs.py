"""``expect(program)``: what a program prints, and how it exits."""

from __future__ import annotations

import re
from collections.abc import Iterator

from lab.control.program import Program
from lab.errors import UsageError
from lab.locale import _, message
from lab.testing.expectations.waiting import check_seconds, failed

LAST_LINES = 10  # of each stream, in the text of a failure


class ProgramExpectation:
    """Expectations of a program that was started on a host."""

    def __init__(self, program: Program) -> None:
        self._program = program

    def to_say(self, text: str | re.Pattern[str], *, timeout: float = 10.0) -> str:
        """A line of its output contains ``text``, or matches a compiled pattern (``search``), within
        ``timeout`` seconds. Returns the line.
        """
        __tracebackhide__ = True
        check_seconds("timeout", timeout)
        self._program.wait_for(lambda: self._said(text) is not None, timeout)
        if (line := self._said(text)) is not None:
            return line
        headline = _("expected {text!r} within {seconds:g} s from {program}")
        if self._program.ended:
            headline = _("expected {text!r} from {program}, which exited without printing it")
        raise self._failed(headline, text, timeout)

    def not_to_say(self, text: str | re.Pattern[str], *, during: float = 1.0) -> None:
        """No line of its output contains ``text``, neither so far nor in the next ``during`` seconds.

        A program that has failed (an exit code other than 0, or a signal) by then is a failure: it said
        nothing for another reason. With ``during=0`` only the output so far counts, however it ended.
        """
        __tracebackhide__ = True
        check_seconds("during", during)
        self._program.wait_for(lambda: self._said(text) is not None, during)
        if self._said(text) is not None:
            raise self._failed(_("expected no {text!r} from {program}"), text, during)
        if during and self._program.ended and not self._program.result.ok:
            headline = _(
                "expected no {text!r} from {program}, but it has failed: {end} (during=0 accepts that)"
            )
            raise self._failed(headline, text, during, end=self._program.result.ending)

    def to_exit(self, code: int = 0, *, timeout: float = 10.0) -> None:
        """It exits with this code within ``timeout`` seconds."""
        __tracebackhide__ = True
        check_seconds("timeout", timeout)
        if not isinstance(code, int) or not 0 <= code <= 255:
            raise UsageError(message("code={value!r}: expected a number from 0 to 255", value=code))
        self._program.wait_for(lambda: self._program.ended, timeout)
        if not self._program.ended:
            headline = _("expected {program} to exit within {seconds:g} s; it is still running")
            raise self._failed(headline, "", timeout)
        if self._program.result.exit_code != code:
            headline = _("expected {program} to exit with {code}: {end}")
            raise self._failed(headline, "", timeout, code=code, end=self._program.result.ending)

    def _said(self, text: str | re.Pattern[str]) -> str | None:
        """The first line of stdout, or else of stderr, that contains the text."""
        if not isinstance(text, str | re.Pattern) or not text:
            raise UsageError(message("{value!r} is neither a text nor a compiled pattern", value=text))
        lines = [*self._program.lines, *self._program.result.stderr.splitlines()]
        for line in lines:
            if text in line if isinstance(text, str) else text.search(line):
                return line
        return None

    def _failed(
        self, headline: str, text: str | re.Pattern[str], seconds: float, **fields: object
    ) -> AssertionError:
        result = self._program.result
        line = headline.format(
            text=text if isinstance(text, str) else text.pattern,
            seconds=seconds,
            program=f"{result.node}$ {result.command}",
            **fields,
        )
        return failed(line, self._output())

    def _output(self) -> Iterator[str]:
        result = self._program.result
        for stream, text in (("stdout", result.stdout), ("stderr", result.stderr)):
            lines = text.splitlines()
            if len(lines) > LAST_LINES:
                yield f"{stream}: …"
            yield from (f"{stream}: {line}" for line in lines[-LAST_LINES:])
        if not (result.output or result.errors):
            yield _("it printed nothing")
