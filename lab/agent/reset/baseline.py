"""The state of this node as it came up: what a reset restores."""

from __future__ import annotations

from pathlib import Path


def save(path: Path) -> None:
    """Saves the state of this node, unless ``path`` has that of this start already. Runs as root, in boot."""
