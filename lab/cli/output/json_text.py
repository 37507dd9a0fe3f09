"""JSON for scripts. docs/commands.md describes the keys."""

from __future__ import annotations

import json


def print_json(value: object) -> None:
    """Prints one JSON document on standard output, without escape codes."""
    print(json.dumps(value, indent=2, ensure_ascii=False), flush=True)
