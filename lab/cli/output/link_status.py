"""The settings, counters and measurements of links in the terminal."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from rich.console import Console
from rich.table import Table

from lab.control.link.links import Links
from lab.control.link.router import LinkFailure, Status
from lab.link.verification import Attempt
from lab.locale import Message, _, from_environment, message

stdout = Console(highlight=False, soft_wrap=True)


def as_json(name: str, status: Status) -> dict[str, Any]:
    """The settings and counters of a link, for programs."""
    settings = status.settings
    matches = status.delivered.get("drops", [[0, 0]] * len(settings.drops))
    drops = [
        asdict(drop) | {"matched": matched, "dropped": dropped}
        for drop, (matched, dropped) in zip(settings.drops, matches, strict=False)
    ]
    return {
        "link": name,
        "backend": status.backend,
        "alive": status.alive,
        "impairments": {direction: asdict(each) for direction, each in settings.impairments.items()},
        "cut": sorted(settings.cut),
        "drops": drops,
        "counters": status.delivered.get("counts", {}),
    }


def print_all(links: Links) -> None:
    """Prints the settings and counters of each link. Raises LinkFailure if the process of one has died."""
    for name, status in links.status().items():
        print_message(message("{link}: {settings}", link=name, settings=status.settings))
        if status.now:
            print_message(message("backend  {backend}", backend=status.backend))
            _print_counters(status)


def print_status(status: Status) -> None:
    """Prints the settings and counters of a link. Raises LinkFailure if its process has died."""
    print_message(message("backend  {backend}", backend=status.backend))
    print_message(message("link     {settings}", settings=status.settings))
    _print_counters(status)


def _print_counters(status: Status) -> None:
    if not status.alive:
        raise LinkFailure(message("its process has died, so the link is cut; `lab link clear` ends that"))
    for direction, counts in status.delivered.get("counts", {}).items():
        words = [f"{number} {name}" for name, number in counts.items() if number and name != "latest_us"]
        if words:
            print_message(
                message(
                    "{direction}: {counts}; at most {late:.1f} ms late",
                    direction=direction,
                    counts=", ".join(words),
                    late=counts["latest_us"] / 1000,
                )
            )
    drops = status.delivered.get("drops", [])
    for asked, (matched, dropped) in zip(status.settings.drops, drops, strict=False):
        counted = message("{matched} matched, {dropped} dropped", matched=matched, dropped=dropped)
        print_message(message("{drop}: {counted}", drop=asked.describe(from_environment()), counted=counted))


def print_attempt(attempt: Attempt) -> None:
    """Prints the measurements of a link as a table. Raises LinkFailure if one differs from the settings."""
    language = from_environment()
    heads = (_("direction"), _("what"), _("asked"), _("measured"), _("interval"), _("ok"))
    table = Table(*heads, box=None, header_style="bold")
    yes, no = _("[green]yes[/]"), _("[red]no[/]")
    for direction, checks in attempt.measured.items():
        for check in checks:
            if check.matters:
                verdict = {True: yes, False: no, None: f"? {check.note}"}[check.ok]
                interval = f"{check.show(check.low)} … {check.show(check.high)}"
                asked = check.show(check.asked)
                table.add_row(
                    direction,
                    check.name.in_language(language),
                    asked,
                    check.show(check.measured) if check.is_known else "–",
                    interval,
                    verdict,
                )
    stdout.print(table)
    if attempt.wrong:
        raise LinkFailure(message("the link doesn't behave as requested"))


def print_message(text: Message) -> None:
    """Prints a message in the user's language."""
    stdout.print(text.in_language(from_environment()), markup=False)
