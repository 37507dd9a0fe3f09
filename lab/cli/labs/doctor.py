"""`lab doctor`: the problems that keep a lab from running on this machine, each with its remedy."""

from __future__ import annotations

from typing import Annotated

import typer
from rich.console import Console
from rich.markup import escape

from lab.cli.errors import errors_in_one_line
from lab.cli.options import AsJson, File, Prefix, Project, described_lab, progress
from lab.cli.output.json_text import print_json
from lab.doctor.finding import Finding, Level, can_run
from lab.errors import EnvironmentFailure
from lab.locale import _, from_environment
from lab.protocols.printable import printable

MARKS = {Level.OK: "[green]✓[/]", Level.NOTICE: "[yellow]![/]", Level.TROUBLE: "[bold red]✗[/]"}
WIDTH = 9  # of the longest name of a check

stdout = Console(highlight=False, soft_wrap=True)
stderr = Console(highlight=False, soft_wrap=True, stderr=True)


def doctor(
    project: Project = None,
    file: File = None,
    prefix: Prefix = None,
    deep: Annotated[
        bool,
        typer.Option(
            "--deep",
            help=_("Also send packets between the nodes of the lab, which is started if it isn't up."),
        ),
    ] = False,
    as_json: AsJson = False,
) -> None:
    from lab.doctor.examination import examine  # not at the top: completion imports this module

    with errors_in_one_line():
        lab = described_lab(project, prefix, None, file)
        with progress(stderr, _("bringing the lab up"), quiet=as_json or not deep) as report:
            findings = []
            for finding in examine(lab, deep=deep, report=report):
                findings.append(finding)
                if not as_json:
                    _show(finding)
        if as_json:
            print_json(_to_dict(findings))
        if not can_run(findings):
            raise typer.Exit(EnvironmentFailure.exit_code)


def _show(finding: Finding) -> None:
    language = from_environment()
    text = escape(printable(finding.text.in_language(language)))
    stdout.print(f"{MARKS[finding.level]} {finding.check:{WIDTH}}  {text}")
    if finding.remedy:
        stdout.print(f"  {'':{WIDTH}}  [dim]→ {escape(printable(finding.remedy.in_language(language)))}[/]")


def _to_dict(findings: list[Finding]) -> dict[str, object]:
    language = from_environment()
    return {"can_run": can_run(findings), "findings": [each.to_dict(language) for each in findings]}
