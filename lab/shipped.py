"""Paths of the files that ship with the package: images, topologies, scenarios, templates.

In a checkout these are folders at its root. In an installed package they are below lab/data.
"""

from __future__ import annotations

from pathlib import Path

CODE = Path(__file__).parent  # the package, which is mounted into the nodes
_DATA = CODE / "data"
IS_INSTALLED = _DATA.is_dir()
ROOT = _DATA if IS_INSTALLED else CODE.parent  # of the folders that follow
IMAGES = ROOT / "images"
TOPOLOGIES = ROOT / "topologies"
SCENARIOS = ROOT / "scenarios"
TEMPLATES = ROOT / "templates"


def _compose_file() -> Path | None:
    """The default lab's Compose file. Only a checkout has one: its paths are relative to the checkout."""
    path = ROOT / "docker-compose.yml"
    return None if IS_INSTALLED or not path.is_file() else path


COMPOSE_FILE = _compose_file()
