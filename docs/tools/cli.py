"""`python -m docs.tools`: record runs for the gallery and write its pages."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path
from typing import Annotated, NoReturn

import typer
from rich.console import Console

from docs import tools
from docs.tools import recording, render, socket_reference
from docs.tools.extraction import keep
from lab.cli.errors import errors_in_one_line
from lab.cli.options import Project
from lab.control.lab import ignore
from lab.control.transport import from_engine
from lab.engine.description import topologies
from lab.engine.lifecycle.project import LabProject
from lab.errors import LabError, Unsupported
from lab.scenarios import catalog
from lab.scenarios.catalog import Scenario
from lab.scenarios.play import OpenLab, play

app = typer.Typer(
    name="python -m docs.tools",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="The pages of docs/gallery and docs/reference, from the scenarios and recorded runs of them.",
)
stdout = Console(highlight=False, soft_wrap=True)
stderr = Console(highlight=False, soft_wrap=True, stderr=True)


@app.command()
def record(
    names: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="SCENARIO", help="By default those whose recording is missing or out of date."
        ),
    ] = None,
    project: Project = None,
    runs: Annotated[Path, typer.Option(help="The folder that holds the runs.")] = Path("runs"),
) -> None:
    """Play scenarios and keep the part of each run that the pages need. Only a run that passes is kept.

    If the lab isn't up, it is started, and taken down afterwards.
    """
    with errors_in_one_line():
        chosen = [catalog.load(name) for name in names or catalog.names()]
        if not names:
            chosen = [one for one in chosen if not render.is_current(recording.load(one.name), one)]
        if not chosen:
            stdout.print("Every recording is up to date.")
            return
        for topology, profile in sorted({(scenario.topology, scenario.profile) for scenario in chosen}):
            part = [each for each in chosen if (each.topology, each.profile) == (topology, profile)]
            _record_on(_lab_for(topology, profile, project), part, runs)


def _lab_for(topology: str, profile: str, project: str | None) -> LabProject:
    """The default lab, or that with the name ``project``; another one for another topology or profile."""
    path = topologies.shipped(topology or topologies.DEFAULT)
    usual = topologies.project_name(path) if topology or project is None else project
    return LabProject.of_file(path, f"{usual}-{profile}" if profile else usual, profile=profile)


def _record_on(topology: LabProject, chosen: list[Scenario], runs: Path) -> None:
    open_lab: OpenLab = lambda observe: from_engine(topology.project, observe)  # noqa: E731
    with topology.running():
        for number, scenario in enumerate(chosen, 1):
            with stderr.status(f"{number}/{len(chosen)} {scenario.name}"):
                said = record_one(scenario, open_lab, runs)
            stdout.print(f"{number}/{len(chosen)} {said}")


def record_one(scenario: Scenario, open_lab: OpenLab, runs: Path) -> str:
    """Plays one scenario and keeps the run. Returns a line of report. Raises LabError if it doesn't pass."""
    outcome = play(scenario, open_lab, ignore, runs)
    if outcome.verdict != "pass":
        raise (Unsupported if outcome.verdict == "unsupported" else LabError)(
            f"{scenario.name} isn't recorded: {outcome.reason} (see {outcome.folder})"
        )
    path = recording.save(keep(scenario, outcome.folder))
    return f"{scenario.name}: {outcome.seconds:.1f} s, {path.stat().st_size / 1000:.1f} kB"


@app.command()
def write() -> None:
    """Write every page, and remove the pages and recordings of scenarios that no longer exist."""
    with errors_in_one_line():
        gallery = render.all_pages()
        rendered = {tools.GALLERY / name: text for name, text in gallery.items()}
        rendered |= {tools.REFERENCE / name: text for name, text in socket_reference.all_pages().items()}
        written = [path for path, text in rendered.items() if _put(path, text)]
        removed = superfluous(gallery)
        for path in removed:
            path.unlink()
        stdout.print(f"{len(rendered)} pages: {len(written)} written, {len(removed)} removed")


def _put(path: Path, text: str) -> bool:
    """Writes the file if its content changed. Returns whether it did."""
    if path.exists() and path.read_text(encoding="utf-8") == text:
        return False
    path.write_text(text, encoding="utf-8")
    return True


def superfluous(rendered: Collection[str]) -> list[Path]:
    """Pages and recordings of scenarios that no longer exist."""
    known = catalog.names()
    written = [path for path in tools.GALLERY.glob("*.md") if path.name not in rendered]
    return written + [path for path in (tools.GALLERY / "recorded").glob("*.json") if path.stem not in known]


def main() -> NoReturn:
    """The entry point."""
    app(prog_name="python -m docs.tools")
    raise SystemExit(0)
