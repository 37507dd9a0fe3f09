"""How a run looks in a terminal: each line as it happens, by host; one after the other or side by side."""

from __future__ import annotations

import math
import re
import shlex
import time
from collections import Counter
from collections.abc import Mapping, Sequence

from rich.console import Console
from rich.markup import escape
from rich.text import Text

from lab.cli import lesson_text
from lab.evidence.event_text import render
from lab.evidence.events import (
    CounterChanged,
    Event,
    Output,
    PacketPassed,
    ProgramExited,
    ProgramStarted,
    SocketChanged,
    VariantBegan,
    VerdictGiven,
)
from lab.evidence.sequence_diagram import MAX_ROWS, sequence
from lab.protocols.printable import printable
from lab.scenarios.catalog import Scenario
from lab.scenarios.lessons import lesson
from lab.scenarios.play import Outcome, Verdict

MAX_LINES = 40  # shown of one program's output; all of it is in the run's folder
MAX_CHARACTERS = 240  # shown of one line
VARIANT_ROWS = 12  # of the sequence of one variant
COLOURS = {"win10": "bright_blue", "kali": "bright_green", "router": "bright_yellow", "lab": "bright_magenta"}
SEQUENCE_STYLES = {"time": "dim", "lane": "dim", "dim": "dim", "lost": "bold red", "mark": "yellow"}
QUIET = (VerdictGiven, SocketChanged, CounterChanged, PacketPassed)  # shown afterwards, or in the trace
VERDICT_STYLES: dict[Verdict, str] = {"pass": "bold green", "fail": "bold red", "unsupported": "bold yellow"}


class View:
    """Shows events. ``columns`` names the nodes that get a column each; without it lines have a prefix.

    With ``story`` a pitfall that went as it should ends with its lesson: why, and what to change.
    """

    def __init__(
        self,
        console: Console,
        columns: tuple[str, ...] = (),
        language: str = "en",
        story: bool = False,
        acks: bool = False,
    ) -> None:
        self._console = console
        self._columns = columns
        self._language = language
        self._story = story
        self._acks = acks  # whether the packets include pure ACKs
        self._shown: Counter[int] = Counter()
        self._programs: Mapping[str, str] = {}  # of the scenario
        self._variants: dict[str, float] = {}  # when each began
        self._started = time.time()

    def begin(self, scenario: Scenario) -> None:
        """The heading of one scenario."""
        self._shown.clear()
        self._variants.clear()
        self._programs = scenario.programs
        self._started = time.time()
        title = lesson(scenario, self._language).title
        self._console.print(f"[bold]▶ {escape(scenario.name)}[/]  {escape(title)}")
        if self._columns:
            self._row(
                Text(" time", "dim"), {name: Text(name, f"bold {_colour(name)}") for name in self._columns}
            )

    def observe(self, event: Event) -> None:
        """One event, at once."""
        if isinstance(event, VariantBegan):
            self._variants[event.variant] = event.at
            self._console.rule(lesson_text.WORDS[self._language][event.variant], style="dim", align="left")
            return
        line = self._text(event)
        if line is None:
            return
        if event.node in self._columns:
            self._row(Text(f"{event.at - self._started:5.2f}", "dim"), {event.node: line})
        else:
            self._console.print(
                Text.assemble((f"{event.node:>6} ", _colour(event.node)), ("│ ", "dim"), line)
            )

    def end(self, outcome: Outcome) -> None:
        """The verdict, and where to read on."""
        style = VERDICT_STYLES[outcome.verdict]
        line = Text.assemble(
            (outcome.verdict.upper(), style),
            f"  {outcome.scenario.name}",
            (f"  {outcome.seconds:.1f} s", "dim"),
        )
        self._console.print(line)
        for reason in outcome.reason.splitlines():
            self._console.print(Text(f"  {printable(reason)}", style))
        self._explain(outcome)
        self._console.print()
        if self._variants:
            self._tell_variants(outcome)
        else:
            self._sequence(outcome)
        if self._story and outcome.verdict == "pass" and outcome.scenario.outcomes:
            lesson_text.why(self._console, outcome.scenario, self._language)
            lesson_text.what_to_change(self._console, outcome.scenario, self._language)
        self._console.print(Text(f"  what it left: {outcome.folder}", "dim"))
        self._console.print()

    def sum_up(self, outcomes: Sequence[Outcome]) -> None:
        """The verdicts of several scenarios, and which of them didn't pass."""
        verdicts = Counter(outcome.verdict for outcome in outcomes)
        counts = [
            (f"{verdicts[name]} × {name}  ", style)
            for name, style in VERDICT_STYLES.items()
            if verdicts[name]
        ]
        seconds = sum(outcome.seconds for outcome in outcomes)
        self._console.print(
            Text.assemble(f"{len(outcomes)} scenarios: ", *counts, (f"{seconds:.1f} s", "dim"))
        )
        for outcome in outcomes:
            if outcome.verdict != "pass":
                self._console.print(
                    Text(f"  {outcome.scenario.name}: {outcome.verdict}", VERDICT_STYLES[outcome.verdict])
                )

    def _tell_variants(self, outcome: Outcome) -> None:
        """What each variant came to, and what passed while it was played."""
        told = lesson(outcome.scenario, self._language)
        ends = [*list(self._variants.values())[1:], math.inf]
        for (variant, since), until in zip(self._variants.items(), ends, strict=True):
            if outcome.verdict == "pass":
                self._console.print(lesson_text.outcome_line(told, variant, self._language))
            else:
                self._console.print(Text(lesson_text.WORDS[self._language][variant], "bold"))
            self._sequence(outcome, VARIANT_ROWS, since, until)
            self._console.print()

    def _sequence(
        self, outcome: Outcome, rows: int = MAX_ROWS, since: float = 0.0, until: float = math.inf
    ) -> None:
        for spans in sequence(
            outcome.traffic,
            self._console.width,
            rows,
            since,
            until,
            acks=self._acks or outcome.scenario.acks,
            language=self._language,
        ):
            self._console.print(Text.assemble(*((span.text, _style(span.style)) for span in spans)))

    def _explain(self, outcome: Outcome) -> None:
        """Why it failed, as far as the evidence says."""
        for sentence in outcome.diagnosis.in_language(self._language):
            self._console.print(Text(f"  {printable(sentence)}", "yellow"))
        if outcome.diagnosis.see_also:
            names = " or ".join(f"lab run {name}" for name in outcome.diagnosis.see_also)
            self._console.print(Text(f"  the same on purpose: {names}", "dim"))

    def _text(self, event: Event) -> Text | None:
        if isinstance(event, ProgramStarted):
            return Text(f"$ {printable(shortened(event.command, self._programs))}", "bold")
        if isinstance(event, ProgramExited):
            hidden = self._shown[event.program] - MAX_LINES
            more = f"… {hidden} more lines; " if hidden > 0 else ""
            return Text(f"{more}{render(event)}", "dim")
        if isinstance(event, Output):
            self._shown[event.program] += 1
            if self._shown[event.program] > MAX_LINES:
                return None
            return Text(cut(printable(event.line)), "red" if event.stream == "stderr" else "")
        return None if isinstance(event, QUIET) else Text(printable(render(event)), "italic yellow")

    def _row(self, time_of_it: Text, cells: dict[str, Text]) -> None:
        """One line of the side-by-side view; a long text goes on in its own column."""
        width = max(20, (self._console.width - 8) // len(self._columns) - 2)
        wrapped = {name: list(text.wrap(self._console, width)) for name, text in cells.items()}
        for number in range(max(len(lines) for lines in wrapped.values())):
            line = Text.assemble(time_of_it if number == 0 else "     ")
            for name in self._columns:
                lines = wrapped.get(name, [])
                cell = lines[number].copy() if number < len(lines) else Text()
                cell.truncate(width, pad=True)
                line.append(" │ ", "dim").append(cell)
            line.rstrip()
            self._console.print(line, soft_wrap=True)


def shortened(command: str, programs: Mapping[str, str]) -> str:
    """``command`` with the names of the scenario's programs in the place of their texts."""
    for name, text in programs.items():
        command = command.replace(shlex.quote(f"\n{text}\n"), name)
    return re.sub(r"'\n(.*\n)+'", lambda found: f"'… {found[0].count(chr(10)) - 1} lines …'", command)


def cut(line: str) -> str:
    """``line``, not longer than is shown of one."""
    left_out = len(line) - MAX_CHARACTERS
    return line if left_out <= 0 else f"{line[:MAX_CHARACTERS]} … {left_out} more characters"


def _style(what: str) -> str:
    return SEQUENCE_STYLES.get(what) or _colour(what)


def _colour(node: str) -> str:
    return COLOURS.get(node, "cyan")
