"""`lab reset`: returns all nodes of a lab to the state in which they came up."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.console import Console
from rich.markup import escape

from lab.cli.errors import errors_in_one_line
from lab.cli.options import AsJson, File, Project, Quiet, lab_name
from lab.cli.output.json_text import print_json
from lab.locale import _, from_environment
from lab.protocols.printable import printable

if TYPE_CHECKING:
    from lab.control.reset import NodeReset

stdout = Console(highlight=False, soft_wrap=True)


def reset(project: Project = None, file: File = None, as_json: AsJson = False, quiet: Quiet = False) -> None:
    from lab.control.transport import from_engine  # not at the top: help and completion import this module

    with errors_in_one_line(), from_engine(lab_name(project, file)) as lab, lab.claimed():
        report = lab.reset()
        if as_json:
            print_json(report.to_dict())
        elif not quiet:
            for node in report.nodes:
                _show(node)


def _show(node: NodeReset) -> None:
    """A line for each difference, and one for a node without any."""
    language = from_environment()
    lines = [each.text.in_language(language) for each in node.findings]
    if node.replaced:
        lines.append(_("replaced by a new node"))
    elif node.workload_replaced:
        lines.append(_("its container was replaced by a new one"))
    for line in lines or [_("nothing to undo")]:
        stdout.print(f"[bold]{escape(node.node)}[/]: {escape(printable(line))}")
