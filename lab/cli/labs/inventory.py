"""`lab inventory`: checks real machines that replace a lab's containers, and removes the lab from them."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.text import Text

from lab.cli.commands import App
from lab.cli.errors import errors_in_one_line
from lab.cli.options import AsJson
from lab.cli.output.json_text import print_json
from lab.errors import EnvironmentFailure, LabError
from lab.locale import Message, _, from_environment, message
from lab.protocols.printable import printable

if TYPE_CHECKING:
    from lab.remote.machine_transport import MachineTransport
    from lab.topology.node import Node

app = App(name="inventory")

File = Annotated[Path, typer.Argument(metavar="FILE", help=_("The inventory: a TOML file."))]

stdout = Console(highlight=False, soft_wrap=True)


@app.command(
    help=_(
        "Log in to each machine, copy the lab's programs to it, and report in one line whether scenarios can"
        " be played there. Exit code 3 unless they can on all of them."
    ),
    examples=["lab inventory check machines.toml"],
)
def check(file: File, as_json: AsJson = False) -> None:
    from lab.remote.machine_transport import MachineTransport  # not at the top: completion imports this

    with errors_in_one_line():
        transport = MachineTransport(file)
        nodes = transport.nodes()
        with ThreadPoolExecutor(max_workers=16) as pool:
            results = list(pool.map(lambda node: _checked(transport, node), nodes))
        found = list(zip(nodes, results, strict=True))
        if as_json:
            print_json(
                [{"machine": node.title, "usable": usable, "text": text} for node, (usable, text) in found]
            )
        else:
            for node, (usable, text) in found:
                _show(node, usable, text)
        if not all(usable for usable, _text in results):
            raise typer.Exit(EnvironmentFailure.exit_code)


@app.command(
    help=_("Remove the lab's programs from the machines."), examples=["lab inventory clean machines.toml"]
)
def clean(file: File) -> None:
    from lab.remote.machine_transport import MachineTransport

    with errors_in_one_line():
        transport = MachineTransport(file)
        for node in transport.nodes():
            transport.remove(node)
            _show(node, True, _("clean"))


def _checked(transport: MachineTransport, node: Node) -> tuple[bool, str]:
    """Whether scenarios can be played on the machine, and a line about it."""
    language = from_environment()
    try:
        connection = transport.dial(node)
    except LabError as error:
        return False, error.in_language(language).removeprefix(f"{node.title}: ")
    connection.close()
    return True, _readiness(connection.survey.capture).in_language(language)


def _readiness(capture: str) -> Message:
    if capture:
        return message("ready; packets can't be captured: {why}", why=capture)
    return message("ready; packets can be captured")


def _show(node: Node, usable: bool, text: str) -> None:
    stdout.print(Text.assemble((f"{node.title:12} ", "green" if usable else "red"), printable(text)))
