"""How a run looks in a terminal: each line as it happens, by host; one after the other or side by side."""

from __future__ import annotations

import time
from collections import Counter

from rich.console import Console
from rich.markup import escape
from rich.text import Text

from lab.control.play import Outcome
from lab.evidence.events import Event
from lab.evidence.sequence import sequence
from lab.protocols.text import printable

MAX_LINES = 40  # shown of one program's output; all of it is in the run's folder
COLOURS = {"win10": "bright_blue", "kali": "bright_green", "router": "bright_yellow", "lab": "bright_magenta"}
SEQUENCE_STYLES = {"time": "dim", "lane": "dim", "dim": "dim", "lost": "bold red", "mark": "yellow"}
QUIET_KINDS = ("verdict", "socket", "counter", "packet")  # told afterwards, or in the trace
VERDICT_STYLES = {"pass": "bold green", "fail": "bold red", "unsupported": "bold yellow"}


class View:
    """Shows events. ``columns`` names the nodes that get a column each; without it lines have a prefix."""

    def __init__(self, console: Console, columns: tuple[str, ...] = ()) -> None:
        self._console = console
        self._columns = columns
        self._shown: Counter[int] = Counter()
        self._started = time.time()

    def begin(self, name: str, title: str) -> None:
        """The heading of one scenario."""
        self._shown.clear()
        self._started = time.time()
        self._console.print(f"[bold]▶ {escape(name)}[/]  {escape(title)}")
        if self._columns:
            self._row(
                Text(" time", "dim"), {name: Text(name, f"bold {_colour(name)}") for name in self._columns}
            )

    def observe(self, event: Event) -> None:
        """One event, at once."""
        text = self._text(event)
        if text is None:
            return
        if event.node in self._columns:
            self._row(Text(f"{event.at - self._started:5.2f}", "dim"), {event.node: text})
        else:
            self._console.print(
                Text.assemble((f"{event.node:>6} ", _colour(event.node)), ("│ ", "dim"), text)
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
        for spans in sequence(outcome.traffic, self._console.width):
            self._console.print(Text.assemble(*((span.text, _style(span.style)) for span in spans)))
        self._console.print(Text(f"  what it left: {outcome.folder}", "dim"))
        self._console.print()

    def _explain(self, outcome: Outcome) -> None:
        """Why it failed, as far as the evidence says."""
        for sentence in outcome.diagnosis.sentences:
            self._console.print(Text(f"  {printable(sentence)}", "yellow"))
        if outcome.diagnosis.see_also:
            names = " or ".join(f"lab run {name}" for name in outcome.diagnosis.see_also)
            self._console.print(Text(f"  the same on purpose: {names}", "dim"))

    def _text(self, event: Event) -> Text | None:
        if event.kind == "start":
            return Text(f"$ {printable(event.text)}", "bold")
        if event.kind == "exit":
            hidden = self._shown[event.program] - MAX_LINES
            more = f"… {hidden} more lines; " if hidden > 0 else ""
            return Text(f"{more}{event.text}", "dim")
        if event.kind in ("stdout", "stderr"):
            self._shown[event.program] += 1
            if self._shown[event.program] > MAX_LINES:
                return None
            return Text(printable(event.text), "red" if event.kind == "stderr" else "")
        return None if event.kind in QUIET_KINDS else Text(printable(event.text), "italic yellow")

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


def _style(what: str) -> str:
    return SEQUENCE_STYLES.get(what) or _colour(what)


def _colour(node: str) -> str:
    return COLOURS.get(node, "cyan")
