"""`lab capture`: the packets of a host as they pass."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from lab.cli import completion
from lab.cli.errors import errors_in_one_line
from lab.cli.options import File, Node, Project, lab_name
from lab.locale import Message, _, from_environment, messages

stderr = Console(highlight=False, soft_wrap=True, stderr=True)


def capture(
    host: Node,
    expression: Annotated[
        list[str] | None,
        typer.Argument(metavar="FILTER", help=_("A filter as for tcpdump: tcp port 8001")),
    ] = None,
    file: Annotated[
        Path | None,
        typer.Option("--write", "-w", metavar="FILE", help=_("Write pcapng; - is standard output.")),
    ] = None,
    count: Annotated[int, typer.Option("--count", "-c", help=_("Stop after this many packets."), min=0)] = 0,
    segment: Annotated[
        str,
        typer.Option(
            help=_("The segment to capture on, if the node is on several."),
            show_default=_("its first"),
            autocompletion=completion.segments,
        ),
    ] = "",
    project: Project = None,
    description: File = None,
) -> None:
    from lab.control.collection.live_capture import Live, file_for  # not at the top: they take long
    from lab.control.transport import from_engine

    with errors_in_one_line(), from_engine(lab_name(project, description)) as lab:
        live = Live(lab[host], segment=segment, expression=" ".join(expression or []), count=count)
        try:
            if file is None:
                live.as_text(sys.stdout)
            else:
                with file_for(file) as out:
                    live.into(out)
        except KeyboardInterrupt:
            pass  # the usual end of a capture
        stderr.print(_captured(live.count, file).in_language(from_environment()), markup=False)


def _captured(count: int, file: Path | None) -> Message:
    if file is None:
        return messages("{count} packet", "{count} packets", count=count)
    return messages("{count} packet in {file}", "{count} packets in {file}", count=count, file=file)
