"""The end of a run in the terminal: its verdict, the diagnosis and the folder."""

from __future__ import annotations

from rich.console import Console
from rich.text import Text

from lab.evidence.diagnosis.diagnose import Diagnosis
from lab.locale import message
from lab.protocols.printable import printable
from lab.scenarios.play import Outcome, Verdict

VERDICT_STYLES: dict[Verdict, str] = {"pass": "bold green", "fail": "bold red", "unsupported": "bold yellow"}


def show_failure(console: Console, outcome: Outcome, number: int, language: str) -> None:
    """Shows one of many runs, the one with this ``number``, which didn't pass."""
    style = VERDICT_STYLES[outcome.verdict]
    console.print(
        Text(f"{outcome.scenario.name} {number}: {outcome.verdict}: {printable(outcome.reason)}", style)
    )
    show_diagnosis(console, outcome.diagnosis, language)
    console.print(Text(f"  {folder_line(outcome, language)}", "dim"))


def show_diagnosis(console: Console, diagnosis: Diagnosis, language: str) -> None:
    """Shows the cause of a failure, as far as it is known, and scenarios that demonstrate it."""
    for sentence in diagnosis.in_language(language):
        console.print(Text(f"  {printable(sentence)}", "yellow"))
    if diagnosis.see_also:
        commands = ", ".join(f"lab run {name}" for name in diagnosis.see_also)
        text = message("see also: {commands}", commands=commands)
        console.print(Text(f"  {text.in_language(language)}", "dim"))


def folder_line(outcome: Outcome, language: str) -> str:
    """The sentence that names the run's folder."""
    return message("the run's folder: {folder}", folder=outcome.folder).in_language(language)
