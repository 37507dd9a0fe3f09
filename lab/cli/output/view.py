"""A run in the terminal: each line as it happens, with the name of its host or in a column for each host."""

from __future__ import annotations

import math
import time
from collections import Counter
from collections.abc import Mapping, Sequence

from rich.console import Console
from rich.markup import escape
from rich.text import Text

from lab.cli.output import lesson_text
from lab.cli.output.abbreviation import cut, shortened
from lab.cli.output.outcome import VERDICT_STYLES, folder_line, show_diagnosis
from lab.evidence.diagram.lanes import titles_of
from lab.evidence.diagram.terminal import MAX_ROWS, sequence
from lab.evidence.event_text import render
from lab.evidence.events import (
    CounterChanged,
    Event,
    FaultChanged,
    Output,
    PacketPassed,
    ProgramEvent,
    ProgramExited,
    ProgramStarted,
    SocketChanged,
    VariantBegan,
    VerdictGiven,
)
from lab.locale import _, message, messages
from lab.protocols.printable import printable
from lab.scenarios.catalog import Scenario
from lab.scenarios.lessons import lesson
from lab.scenarios.play import Outcome
from lab.topology.node import Node

MAX_LINES = 40  # lines shown of one program's output; the run's folder has all of them
VARIANT_ROWS = 12  # shown of one variant's packets
MIN_COLUMN = 20  # cells of a host's column
# Of the nodes, in order. tests/cli/output/test_colours.py checks that they can be told apart.
COLOURS = ("#00e0ff", "#ffc080", "#a040ff", "#608020", "#ff80a0", "#80a0ff", "#c0a000", "#e000a0")
MARKS = ("", " underline", " italic", " bold")  # further nodes have the same colours, with the next mark
LAB_COLOUR = "bold"
SEQUENCE_STYLES = {"time": "dim", "lane": "dim", "dim": "dim", "lost": "bold red", "mark": "yellow"}
QUIET = (VerdictGiven, SocketChanged, CounterChanged, PacketPassed)  # shown afterwards, or in the trace


class View:
    """Shows a run in ``language``. With ``columns`` each host gets a column; without, each line has a prefix.

    With ``story`` a pitfall that passes ends with its lesson: the reason, and what to change. ``nodes`` are
    the names of the nodes that get a column; without them, these are the nodes that take part.
    """

    def __init__(
        self,
        console: Console,
        *,
        columns: bool = False,
        language: str = "en",
        story: bool = False,
        acks: bool = False,
        nodes: Sequence[str] = (),
    ) -> None:
        self._console = console
        self._wants_columns = columns
        self._columns: tuple[str, ...] = ()
        self._language = language
        self._story = story
        self._acks = acks  # whether the packets include pure ACKs
        self._wanted = nodes
        self._chosen: tuple[str, ...] = ()  # their titles
        self._nodes: list[str] = []  # the order decides on the colours
        self._active: set[str] = set()  # nodes with programs or faults
        self._shown: Counter[int] = Counter()
        self._programs: Mapping[str, str] = {}  # of the scenario
        self._variants: dict[str, float] = {}  # when each began
        self._started = time.time()

    def begin(self, scenario: Scenario) -> None:
        """Shows the heading of a scenario."""
        self._shown.clear()
        self._variants.clear()
        self._programs = scenario.programs
        self._active.clear()
        self._started = time.time()
        title = lesson(scenario, self._language).title
        self._console.print(f"[bold]▶ {escape(scenario.name)}[/]  {escape(title)}")

    def show_nodes(self, nodes: Sequence[Node]) -> None:
        """Assigns a colour to each node of the lab, and shows the heads of the columns.

        Raises UsageError if a requested node doesn't exist.
        """
        self._nodes = [node.title for node in nodes]
        self._chosen = titles_of(self._wanted, {node.title: node.names for node in nodes})
        if self._wants_columns:
            self._show_heads([node.title for node in nodes if node.role == "host"])

    def _show_heads(self, hosts: Sequence[str]) -> None:
        """Shows the heads of the columns, and the names of the hosts for which there is no room."""
        wanted = [title for title in hosts if title in (self._chosen or hosts)]
        room = max(1, (self._console.width - 6) // (MIN_COLUMN + 3))
        self._columns = tuple(wanted[:room])
        if self._columns:
            heads = {name: Text(name, f"bold {self._colour(name)}") for name in self._columns}
            self._row(Text(_(" time", self._language), "dim"), heads)
        if wanted[room:]:
            names = _(", ", self._language).join(wanted[room:])
            note = message("without a column: {names}; --nodes selects columns", names=names)
            self._console.print(Text(note.in_language(self._language), "dim"))

    def observe(self, event: Event) -> None:
        """Shows one event at once."""
        if isinstance(event, ProgramEvent | FaultChanged):
            self._active.add(event.node)
        if isinstance(event, VariantBegan):
            self._variants[event.variant] = event.at
            self._console.rule(
                lesson_text.variant_name(event.variant, self._language), style="dim", align="left"
            )
            return
        line = self._text(event)
        if line is None:
            return
        if event.node in self._columns:
            self._row(Text(f"{event.at - self._started:5.2f}", "dim"), {event.node: line})
        else:
            prefix = f"{event.node:>{max(map(len, ('router', *self._nodes)))}} "
            self._console.print(Text.assemble((prefix, self._colour(event.node)), ("│ ", "dim"), line))

    def end(self, outcome: Outcome) -> None:
        """Shows the verdict, the packets, and the run's folder."""
        style = VERDICT_STYLES[outcome.verdict]
        line = Text.assemble(
            (outcome.verdict.upper(), style),
            f"  {outcome.scenario.name}",
            (f"  {outcome.seconds:.1f} s", "dim"),
        )
        self._console.print(line)
        for reason in outcome.reason.splitlines():
            self._console.print(Text(f"  {printable(reason)}", style))
        show_diagnosis(self._console, outcome.diagnosis, self._language)
        self._console.print()
        if self._variants:
            self._show_variants(outcome)
        else:
            self._sequence(outcome)
        if self._story and outcome.verdict == "pass" and outcome.scenario.outcomes:
            lesson_text.why(self._console, outcome.scenario, self._language)
            lesson_text.what_to_change(self._console, outcome.scenario, self._language)
        self._console.print(Text(f"  {folder_line(outcome, self._language)}", "dim"))
        self._console.print()

    def sum_up(self, outcomes: Sequence[Outcome]) -> None:
        """Shows the verdicts of several scenarios, and the names of those that didn't pass."""
        verdicts = Counter(outcome.verdict for outcome in outcomes)
        counts = [
            (f"{verdicts[name]} × {name}  ", style)
            for name, style in VERDICT_STYLES.items()
            if verdicts[name]
        ]
        seconds = sum(outcome.seconds for outcome in outcomes)
        played = messages("{count} scenario: ", "{count} scenarios: ", count=len(outcomes))
        head = played.in_language(self._language)
        self._console.print(Text.assemble(head, *counts, (f"{seconds:.1f} s", "dim")))
        for outcome in outcomes:
            if outcome.verdict != "pass":
                self._console.print(
                    Text(f"  {outcome.scenario.name}: {outcome.verdict}", VERDICT_STYLES[outcome.verdict])
                )

    def _show_variants(self, outcome: Outcome) -> None:
        """Shows the outcome of each variant and its packets."""
        told = lesson(outcome.scenario, self._language)
        ends = [*list(self._variants.values())[1:], math.inf]
        for (variant, since), until in zip(self._variants.items(), ends, strict=True):
            if outcome.verdict == "pass":
                self._console.print(lesson_text.outcome_line(told, variant, self._language))
            else:
                self._console.print(Text(lesson_text.variant_name(variant, self._language), "bold"))
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
            active=self._active,
            nodes=self._chosen,
        ):
            self._console.print(Text.assemble(*((span.text, self._style(span.style)) for span in spans)))

    def _text(self, event: Event) -> Text | None:
        if isinstance(event, ProgramStarted):
            return Text(f"$ {printable(shortened(event.command, self._programs, self._language))}", "bold")
        if isinstance(event, ProgramExited):
            hidden = self._shown[event.program] - MAX_LINES
            more = messages("… {count} more line; ", "… {count} more lines; ", count=hidden)
            return Text(
                (more.in_language(self._language) if hidden > 0 else "")
                + render(event, language=self._language),
                "dim",
            )
        if isinstance(event, Output):
            self._shown[event.program] += 1
            if self._shown[event.program] > MAX_LINES:
                return None
            return Text(cut(printable(event.line), self._language), "red" if event.stream == "stderr" else "")
        return (
            None
            if isinstance(event, QUIET)
            else Text(printable(render(event, language=self._language)), "italic yellow")
        )

    def _row(self, time_cell: Text, cells: dict[str, Text]) -> None:
        """One line of the side-by-side view; a long text continues in its own column."""
        width = max(MIN_COLUMN, (self._console.width - 6) // len(self._columns) - 3)
        wrapped = {name: list(text.wrap(self._console, width)) for name, text in cells.items()}
        for number in range(max(len(lines) for lines in wrapped.values())):
            line = Text.assemble(time_cell if number == 0 else "     ")
            for name in self._columns:
                lines = wrapped.get(name, [])
                cell = lines[number].copy() if number < len(lines) else Text()
                cell.truncate(width, pad=True)
                line.append(" │ ", "dim").append(cell)
            line.rstrip()
            self._console.print(line, soft_wrap=True)

    def _style(self, what: str) -> str:
        return SEQUENCE_STYLES.get(what) or self._colour(what)

    def _colour(self, node: str) -> str:
        if node == "lab":
            return LAB_COLOUR
        if node not in self._nodes:
            self._nodes.append(node)
        turn, number = divmod(self._nodes.index(node), len(COLOURS))
        return COLOURS[number] + MARKS[turn % len(MARKS)]
