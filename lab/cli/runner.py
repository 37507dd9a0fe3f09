"""The runner container: plays the given scenarios, or lists the available commands and scenarios."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from lab.cli.output.view import View
from lab.cli.scenarios.player import play_once
from lab.control.transport import from_mgmt
from lab.errors import LabError
from lab.locale import Message, _, from_environment, message
from lab.protocols.printable import printable
from lab.remote.mgmt_transport import MgmtTransport
from lab.scenarios import catalog, lessons
from lab.topology.node import Node

RUNS = Path("runs")  # below the image's working directory


def main(argv: Sequence[str]) -> int:
    """Returns the exit code: the verdict's, 2 for an unknown scenario, 3 if the lab can't be reached."""
    language = from_environment()
    names = list(argv) or os.environ.get("SCENARIO", "").split()
    try:
        if not names:
            print(welcome(MgmtTransport().nodes(), language))
            return 0
        chosen = [catalog.load(name) for name in names]
        view = View(Console(highlight=False, soft_wrap=True), language=language, story=len(chosen) == 1)
        with from_mgmt() as lab:
            return play_once(chosen, lambda _: lab.observed_by, view, RUNS)
    except LabError as error:
        print(f"runner: {printable(error.in_language(language))}", file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        return 130


def welcome(nodes: Sequence[Node], language: str) -> str:
    """The next commands to try, and the scenarios."""
    hosts = [node for node in nodes if node.role == "host"]
    entries = [(f"docker compose exec {host.name} bash", _shell(host)) for host in hosts]
    entries += [
        ("docker compose run --rm runner NAME", message("play a scenario on this running lab")),
        ("docker compose down -v", message("stop the lab and remove everything that it created")),
    ]
    return "\n".join(
        [
            _("The lab is up: {nodes}", language).format(nodes=" · ".join(map(_named, nodes))),
            "",
            *(f"  {command:38} {text.in_language(language)}" for command, text in entries),
            "",
            _("Scenarios:", language),
            *(f"  {name:18} {lessons.title(name, language)}" for name in catalog.names()),
        ]
    )


def _shell(host: Node) -> Message:
    return message("a shell on {host}", host=host.title)


def _named(node: Node) -> str:
    return node.name if node.title == node.name else f"{node.name} ({node.title})"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
