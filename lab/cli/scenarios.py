"""`lab list`, `lab explain` and `lab run`: look for a scenario, read it, play it."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from lab.cli import lesson_text
from lab.cli.errors import errors_in_one_line
from lab.cli.options import ClientsPrefix, Profile, Project, ServersPrefix, new_topology
from lab.cli.repeat import soak
from lab.cli.runner import play_all
from lab.cli.view import View
from lab.control.capture import LIMIT, SNAPLEN
from lab.control.evidence_collector import Options
from lab.control.transport import from_engine
from lab.errors import UsageError
from lab.protocols.printable import printable
from lab.scenarios import catalog, lessons
from lab.scenarios.catalog import Scenario
from lab.scenarios.play import OpenLab

Language = Annotated[
    str | None, typer.Option("--lang", metavar="en|zh", help="Of the lessons.", show_default="by LANG")
]

stdout = Console(highlight=False, soft_wrap=True)
stderr = Console(highlight=False, soft_wrap=True, stderr=True)


def list_scenarios(
    lang: Language = None,
    pitfalls: Annotated[bool, typer.Option("--pitfalls", help="Only what has variants.")] = False,
) -> None:
    """List the scenarios."""
    with errors_in_one_line():
        language = lessons.language(lang, os.environ)
        names = [scenario.name for scenario in all_pitfalls()] if pitfalls else catalog.names()
        table = Table("scenario", "what it shows", box=None, header_style="bold")
        for name in names:
            table.add_row(f"[bold]{name}[/]", printable(lessons.title(name, language)))
        stdout.print(table)


def explain(
    names: Annotated[list[str], typer.Argument(metavar="SCENARIO...", help="See `lab list`.")],
    lang: Language = None,
) -> None:
    """Print a scenario's lesson: what it shows, its programs, and what to change. Nothing is played."""
    with errors_in_one_line():
        language = lessons.language(lang, os.environ)
        for scenario in [catalog.load(name) for name in names]:
            lesson_text.explain(stdout, scenario, language)


def run(
    names: Annotated[
        list[str] | None, typer.Argument(metavar="[SCENARIO]...", help="See `lab list`.", show_default=False)
    ] = None,
    pitfalls: Annotated[bool, typer.Option("--pitfalls", help="All of them, one after the other.")] = False,
    variant: Annotated[
        str | None, typer.Option(metavar="broken|fixed", help="Of pitfalls, play this variant alone.")
    ] = None,
    repeat: Annotated[
        int, typer.Option(min=1, help="Play each so often, and tell only the verdicts and what fails.")
    ] = 1,
    lang: Language = None,
    project: Project = None,
    servers_prefix: ServersPrefix = None,
    clients_prefix: ClientsPrefix = None,
    profile: Profile = None,
    columns: Annotated[bool, typer.Option("--columns", help="The hosts' output side by side.")] = False,
    acks: Annotated[
        bool, typer.Option("--acks", help="Show pure ACKs too in the sequence of packets.")
    ] = False,
    keep: Annotated[bool, typer.Option("--keep", help="Leave a lab that had to be started running.")] = False,
    seed: Annotated[int | None, typer.Option(help="Repeat the random choices of an earlier run.")] = None,
    runs: Annotated[Path, typer.Option(help="Where runs leave their folder.")] = Path("runs"),
    snaplen: Annotated[
        int, typer.Option(help="Bytes that captures keep of each packet.", min=64, max=262_144)
    ] = SNAPLEN,
    capture_limit: Annotated[
        int, typer.Option(help="MiB that each capture keeps, half from its start, half from its end.", min=1)
    ] = LIMIT >> 20,
) -> None:
    """Play scenarios, and give their verdicts.

    A lab that isn't up is started for it, with the profile that they want, and taken down afterwards unless
    [bold]--keep[/] is given.
    """
    with errors_in_one_line():
        chosen = _chosen(names or [], pitfalls, variant)
        language = lessons.language(lang, os.environ)
        wanted = next((scenario.profile for scenario in chosen if scenario.profile), profile)
        # A lab that is up stays as it is, whatever they want.
        topology = new_topology(project, servers_prefix, clients_prefix, wanted)
        open_lab: OpenLab = lambda observe: from_engine(topology.project, observe)  # noqa: E731
        capture = Options(snaplen, capture_limit << 20)
        with topology.running(keep=keep, quiet=not stderr.is_terminal):
            if repeat > 1:
                code = soak(chosen, open_lab, stdout, runs, repeat, seed=seed, capture=capture)
            else:
                view = View(
                    stdout, ("kali", "win10") if columns else (), language, story=len(chosen) == 1, acks=acks
                )
                code = play_all(chosen, open_lab, view, runs, seed=seed, capture=capture)
    raise typer.Exit(code)


def all_pitfalls() -> list[Scenario]:
    """The scenarios that have variants. Raises UsageError where one can't be loaded."""
    return [scenario for name in catalog.names() if (scenario := catalog.load(name)).outcomes]


def _chosen(names: list[str], pitfalls: bool, variant: str | None) -> list[Scenario]:
    """What is to be played; all of it can be, or UsageError says why not."""
    chosen = [catalog.load(name, variant) for name in names]
    if pitfalls:
        chosen += [catalog.load(scenario.name, variant) for scenario in all_pitfalls()]
    if not chosen:
        raise UsageError("which scenario? `lab list` shows them; --pitfalls plays every pitfall")
    return chosen
