"""The socket reference: what each family, type and method does, and what was seen of it in a recorded run.

The words are in docs/reference/texts.toml, what was seen in the gallery's recordings of the two scenarios.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterator, Mapping
from typing import Any, TypeAlias

from docs import tools
from docs.tools.render import file_name, recorded
from lab.locale import LANGUAGES
from lab.scenarios import catalog

NAME = "sockets"
TABLES = {"families": "socket-families", "methods": "socket-methods"}  # and the scenarios that fill them

Seen: TypeAlias = Mapping[str, str]  # what was seen, by where: on win10, on kali, in the packets


def texts() -> dict[str, Any]:
    """The words of the pages, as they stand in texts.toml."""
    return tomllib.loads((tools.REFERENCE / "texts.toml").read_text(encoding="utf-8"))


def all_pages() -> dict[str, str]:
    """All pages by their file names. Raises LabError where a recording is missing or out of date."""
    return {file_name(NAME, language): rendered(language) for language in LANGUAGES}


def rendered(language: str) -> str:
    """The page in that language. Raises LabError as all_pages does, KeyError where a text is missing."""
    words = texts()
    page = words["page"][language]
    others = [other for other in LANGUAGES if other != language]
    twins = [f"[{LANGUAGES[other]}]({file_name(NAME, other)})" for other in others]
    parts = [" · ".join(twins), f"# {page['title']}", page["text"].strip().format(*TABLES.values())]
    for table, scenario in TABLES.items():
        seen = recorded(catalog.load(scenario)).record[table]
        rows = [(name, text[language], seen[name]) for name, text in words[table].items()]
        parts += [f"## {page[table]}", "\n".join(_table(page, rows))]
    return "\n\n".join(parts) + "\n"


def _table(page: Mapping[str, Any], rows: list[tuple[str, str, Seen]]) -> Iterator[str]:
    yield _row(page["columns"])
    yield _row(["---"] * len(page["columns"]))
    places = {"win10": "win10", "kali": "kali", "packets": page["packets"]}
    for name, does, seen in rows:
        told = [
            page["seen"].format(title, _code(seen[where])) for where, title in places.items() if where in seen
        ]
        yield _row([_code(name), does, "<br>".join(told)])


def _row(cells: list[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _code(text: str) -> str:
    """As code, within a table: there a bar would end the cell, in code too."""
    return f"`{text.replace('|', chr(92) + '|')}`"
