"""The socket reference: the purpose of each family, type and method, and its results in a recorded run.

The texts are in docs/reference/texts.toml, the results in the gallery's recordings of two scenarios.
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
TABLES = {"families": "socket-families", "methods": "socket-methods"}  # and the scenarios with the results

Results: TypeAlias = Mapping[str, str]  # by host; "packets" for what was captured


def texts() -> dict[str, Any]:
    """The content of texts.toml."""
    return tomllib.loads((tools.REFERENCE / "texts.toml").read_text(encoding="utf-8"))


def all_pages() -> dict[str, str]:
    """All pages by their file names. Raises LabError if a recording is missing or out of date."""
    return {file_name(NAME, language): rendered(language) for language in LANGUAGES}


def rendered(language: str) -> str:
    """The page in ``language``. Raises LabError like all_pages, and KeyError if a text is missing."""
    content = texts()
    page = content["page"][language]
    others = [other for other in LANGUAGES if other != language]
    links = [f"[{LANGUAGES[other]}]({file_name(NAME, other)})" for other in others]
    parts = [" · ".join(links), f"# {page['title']}", page["text"].strip().format(*TABLES.values())]
    for table, scenario in TABLES.items():
        results = recorded(catalog.load(scenario)).record[table]
        rows = [(name, text[language], results[name]) for name, text in content[table].items()]
        parts += [f"## {page[table]}", "\n".join(_table(page, rows))]
    return "\n\n".join(parts) + "\n"


def _table(page: Mapping[str, Any], rows: list[tuple[str, str, Results]]) -> Iterator[str]:
    yield _row(page["columns"])
    yield _row(["---"] * len(page["columns"]))
    titles = {"packets": page["packets"]}
    for name, purpose, results in rows:
        cell = [page["seen"].format(titles.get(where, where), _code(text)) for where, text in results.items()]
        yield _row([_code(name), purpose, "<br>".join(cell)])


def _row(cells: list[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _code(text: str) -> str:
    """``text`` as code in a table, in which a bar would end the cell."""
    return f"`{text.replace('|', chr(92) + '|')}`"
