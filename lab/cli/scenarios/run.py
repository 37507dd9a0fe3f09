"""`lab run`: plays scenarios and prints their verdicts."""

from __future__ import annotations

from contextlib import ExitStack
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from lab.cli import completion
from lab.cli.errors import errors_in_one_line
from lab.cli.leftovers import remove_leftovers
from lab.cli.options import (
    AsJson,
    File,
    Inventory,
    Lang,
    Nodes,
    Prefix,
    Profile,
    Project,
    described_lab,
    language_of,
    names_in,
    progress,
)
from lab.cli.output.json_text import print_json
from lab.cli.scenarios.listing import NAMES, all_pitfalls
from lab.errors import UsageError
from lab.locale import _, message
from lab.scenarios import catalog
from lab.scenarios.catalog import Scenario

if TYPE_CHECKING:
    from lab.cli.scenarios.player import LabFor

SNAPLEN = 256  # bytes; a test compares both with those of lab.control.collection, which takes long to import
LIMIT = 8  # MiB

stdout = Console(highlight=False, soft_wrap=True)
stderr = Console(highlight=False, soft_wrap=True, stderr=True)


def run(
    names: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="SCENARIO",
            help=NAMES,
            show_default=False,
            autocompletion=completion.scenarios,
        ),
    ] = None,
    pitfalls: Annotated[bool, typer.Option("--pitfalls", help=_("Play every pitfall."))] = False,
    variant: Annotated[
        str | None,
        typer.Option(
            metavar="broken|fixed",
            help=_("Play only this variant of a pitfall."),
            autocompletion=completion.fixed("broken", "fixed"),
        ),
    ] = None,
    repeat: Annotated[
        int, typer.Option(min=1, help=_("Play each this many times; print only verdicts and failures."))
    ] = 1,
    lang: Lang = None,
    project: Project = None,
    file: File = None,
    prefix: Prefix = None,
    profile: Profile = None,
    inventory: Inventory = None,
    columns: Annotated[
        bool, typer.Option("--columns", help=_("Show the output of the hosts side by side."))
    ] = False,
    nodes: Nodes = None,
    acks: Annotated[
        bool, typer.Option("--acks", help=_("Also show the TCP segments that only acknowledge."))
    ] = False,
    keep: Annotated[
        bool, typer.Option("--keep", help=_("Leave the lab running if it had to be started."))
    ] = False,
    seed: Annotated[int | None, typer.Option(help=_("Repeat the random choices of an earlier run."))] = None,
    runs: Annotated[Path, typer.Option(help=_("The folder that holds the runs."))] = Path("runs"),
    snaplen: Annotated[
        int, typer.Option(help=_("Bytes that captures keep of each packet."), min=64, max=262_144)
    ] = SNAPLEN,
    capture_limit: Annotated[
        int,
        typer.Option(help=_("MiB that each capture keeps: half from its start, half from its end."), min=1),
    ] = LIMIT,
    as_json: AsJson = False,
) -> None:
    with errors_in_one_line(lang):
        chosen = _chosen(names or [], pitfalls, variant)
        language = language_of(lang)
        with ExitStack() as stack:
            if inventory is not None:
                _refuse_lab_options(project=project, file=file, prefix=prefix, profile=profile, keep=keep)
                from lab.control.transport import from_inventory

                machines = stack.enter_context(from_inventory(inventory))
                lab_for: LabFor = lambda _: machines.observed_by  # noqa: E731
            else:
                from lab.cli.scenarios.labs import ScenarioLabs

                wanted = next((scenario.profile for scenario in chosen if scenario.profile), profile)
                labs = ScenarioLabs(
                    # A lab that is up stays as it is, even if the scenarios require another profile.
                    cache(lambda: described_lab(project, prefix, wanted, file)),
                    lambda: progress(stderr, _("starting the lab"), quiet=not stderr.is_terminal),
                    for_all=bool(project or file),
                    keep=keep,
                )
                lab_for = stack.enter_context(labs).lab_for
                labs.connect_ahead(chosen[0])
                remove_leftovers()
            # Not at the top: completion and mistakes don't need them.
            from lab.cli.output.view import View
            from lab.cli.scenarios.player import as_json as outcomes_as_json
            from lab.cli.scenarios.player import play_often, play_once, play_silently
            from lab.control.collection.recording import Options

            capture = Options(snaplen, capture_limit << 20)
            if as_json:
                outcomes = play_silently(chosen, lab_for, runs, repeat, seed=seed, capture=capture)
                print_json(outcomes_as_json(outcomes, language))
                code = max(outcome.exit_code for outcome in outcomes)
            elif repeat > 1:
                code = play_often(chosen, lab_for, stdout, runs, repeat, language, seed=seed, capture=capture)
            else:
                view = View(
                    stdout,
                    columns=columns,
                    language=language,
                    story=len(chosen) == 1,
                    acks=acks,
                    nodes=names_in(nodes),
                )
                code = play_once(chosen, lab_for, view, runs, seed=seed, capture=capture)
    raise typer.Exit(code)


def _refuse_lab_options(**given: object) -> None:
    """Raises UsageError if an option of a lab in containers is given with --inventory."""
    for name, value in given.items():
        if value:
            both = {"first": f"--{name}", "second": "--inventory"}
            raise UsageError(message("{first} and {second} exclude each other", **both))


def _chosen(names: list[str], pitfalls: bool, variant: str | None) -> list[Scenario]:
    """The scenarios to play, those with the same topology one after the other. Raises UsageError if there is
    none, or one of them can't be played.
    """
    chosen = [catalog.load(name, variant) for name in names]
    if pitfalls:
        chosen += [catalog.load(scenario.name, variant) for scenario in all_pitfalls()]
    if not chosen:
        raise UsageError(message("no scenario given; `lab list` lists them, --pitfalls plays every pitfall"))
    order = list(dict.fromkeys(scenario.topology for scenario in chosen))
    return sorted(chosen, key=lambda scenario: order.index(scenario.topology))
