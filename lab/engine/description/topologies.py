"""Finds the description of a lab: the file given, a shipped topology, or lab.toml of the current folder."""

from __future__ import annotations

import hashlib
import os
import tomllib
from collections.abc import Mapping
from pathlib import Path

from lab.errors import UsageError
from lab.locale import message
from lab.shipped import TOPOLOGIES
from lab.topology.description import FILE, own_name, read
from lab.topology.plan import plan
from lab.topology.reading.project_name import allowed_name, described_name

FOLDER = TOPOLOGIES
DEFAULT = "default"
PROJECT = "socketlab"  # the project of the default lab, as `name` in docker-compose.yml


def names() -> list[str]:
    """The names of the shipped topologies."""
    return sorted(path.stem for path in FOLDER.glob("*.toml"))


def shipped(name: str) -> Path:
    """The description of a shipped topology. Raises UsageError if there is none of that name."""
    if name not in names():
        raise UsageError(
            message("no topology {name!r}; there are: {known}", name=name, known=", ".join(names()))
        )
    return FOLDER / f"{name}.toml"


def find(wanted: str | None = None, folder: Path | None = None) -> Path:
    """The description that ``wanted`` means: a file, a folder with a lab.toml, or a shipped topology.

    Without it, lab.toml of ``folder`` (the current one), or else the default topology. Raises UsageError.
    """
    if wanted is None:
        own = (folder or Path.cwd()) / FILE
        return own if os.path.lexists(own) else FOLDER / f"{DEFAULT}.toml"
    path = Path(wanted)
    if path.is_dir():
        path /= FILE
    if path.is_file():
        return path.absolute()
    if wanted in names():
        return shipped(wanted)
    raise UsageError(
        message(
            "no file {path}, and no topology of that name; the shipped ones are {known}",
            path=path,
            known=", ".join(names()),
        )
    )


def default() -> Path:
    """The description of the default topology."""
    return FOLDER / f"{DEFAULT}.toml"


def project_name(path: Path) -> str:
    """The name of the Compose project of a lab with this description.

    It is the description's `name`, or that of its folder, or of the file if it isn't called lab.toml, without
    the characters that Compose doesn't allow. With `compose`, "-lab" is added to that of a folder or file:
    the user's own project may have that name. If all characters of the folder or file are left out, it is
    "lab-" and a digest of the path. Raises UsageError.
    """
    if path.parent == FOLDER:
        return PROJECT if path.stem == DEFAULT else f"{PROJECT}-{path.stem}"
    keys = _keys(path)
    if not keys.get("name") and not allowed_name(own_name(path)):
        return f"lab-{hashlib.sha256(os.fsencode(path.absolute())).hexdigest()[:8]}"
    name = described_name(keys, own_name(path))
    found = allowed_name(name)
    if not found:
        raise UsageError(message("{file}: {name!r} has no letter for a project name", file=path, name=name))
    return found


def _keys(path: Path) -> Mapping[str, object]:
    """The top-level keys. Mistakes in their values don't matter: a lab can be taken down in any case."""
    try:
        return tomllib.loads(path.read_text(encoding="utf-8-sig"))
    except ValueError:
        read(path)  # raises UsageError, with the line of the mistake
        raise
    except OSError as error:
        raise UsageError(
            message(
                "{file}: {error}; or give the lab's name with -p", file=path, error=error.strerror or error
            )
        ) from None


def chosen_name(path: Path, project: str | None, environ: Mapping[str, str]) -> str:
    """The project's name: the one given, or else that of the environment, or else that of the description."""
    if project is not None:
        return project
    return environ.get("COMPOSE_PROJECT_NAME") or project_name(path)


def all_names(name: str) -> tuple[frozenset[str], frozenset[str]]:
    """The names of the nodes of a shipped topology, aliases included, and those of its segments.

    Raises UsageError.
    """
    planned = plan(read(shipped(name or DEFAULT)))
    nodes = (alias for node in planned.nodes for alias in (node.name, *node.names))
    return frozenset(nodes), frozenset(segment.name for segment in planned.segments)


def node_names(name: str) -> list[str]:
    """The names of the nodes of a shipped topology. Raises UsageError."""
    return [node.name for node in plan(read(shipped(name or DEFAULT))).nodes]
