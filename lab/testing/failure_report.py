"""The section "lab" in the report of a failed test: diagnosis, output of programs, paths of the files."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from lab.errors import LabError
from lab.evidence.diagnosis.model import Evidence, Run
from lab.evidence.event_text import ending
from lab.evidence.events import Output
from lab.locale import _, from_environment
from lab.testing.isolation import LabTest

MAX_PROGRAMS = 6
MAX_LINES = 8  # of the output of each
MAX_WIDTH = 300  # characters of a line


def text(test: LabTest, kept_in: str, problem: str = "") -> str:
    """The section. ``kept_in`` is the folder of the artifacts as it is shown; "" if none are kept.

    ``problem`` is the reason why they can't be kept there.
    """
    return "\n".join([*_findings(test), *_where(test, kept_in, problem)])


def _findings(test: LabTest) -> Iterator[str]:
    try:
        evidence = test.evidence()
        test.diagnose()
    except (LabError, OSError, ValueError) as error:
        yield _("no diagnosis: {reason}").format(reason=_text(error))
        return
    for sentence in test.diagnosis.in_language(from_environment()):
        yield _("diagnosis: {sentence}").format(sentence=sentence)
    for program in evidence.programs[-MAX_PROGRAMS:]:
        yield from _program(evidence, program)


def _program(evidence: Evidence, run: Run) -> Iterator[str]:
    running = run.ended is None
    end = _("still running") if running else ending(run.exit_code, run.signal).in_language(from_environment())
    yield f"{run.node}$ {_shortened(run.command)}: {end}"
    output = [e for e in evidence.events if isinstance(e, Output) and e.program == run.number]
    if len(output) > MAX_LINES:
        yield "  …"
    for event in output[-MAX_LINES:]:
        yield f"  {event.stream}: {_shortened(event.line)}"


def _text(error: Exception) -> str:
    return error.in_language(from_environment()) if isinstance(error, LabError) else str(error)


def _where(test: LabTest, kept_in: str, problem: str) -> Iterator[str]:
    yield _("repeat with: {option}").format(option=f"--lab-seed {test.seed}")
    if problem:
        yield problem
    elif kept_in:
        yield _("trace: {path}").format(path=Path(kept_in) / "trace.html")


def _shortened(line: str) -> str:
    line = line.replace("\n", " ⏎ ")
    return line if len(line) <= MAX_WIDTH else line[:MAX_WIDTH] + "…"
