"""Checks that the nodes can read the files that they mount from this machine."""

from __future__ import annotations

import os
import stat
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

from lab import shipped
from lab.errors import EnvironmentFailure
from lab.locale import message

NODE_ID = 1000  # the user and group "lab" in the images


def require_readable(folders: Iterable[Path] = (shipped.CODE, shipped.SCENARIOS)) -> None:
    """Raises EnvironmentFailure if the user lab of the nodes can't read one of the folders.

    An installation with umask 077 is the usual cause. Only on Linux do containers see this machine's modes.
    """
    if sys.platform != "linux":
        return
    for folder in folders:
        for path in _tree(folder):
            if not readable(path.stat()):
                raise EnvironmentFailure(
                    message(
                        "the nodes can't read {path}, which belongs to the lab's own code;"
                        " `chmod -R go+rX {folder}` allows it",
                        path=path,
                        folder=folder,
                    )
                )


def readable(status: os.stat_result) -> bool:
    """True if the user lab can read the file, or list and enter the folder."""
    shift = 6 if status.st_uid == NODE_ID else 3 if status.st_gid == NODE_ID else 0
    needed = 0o5 if stat.S_ISDIR(status.st_mode) else 0o4
    return (status.st_mode >> shift) & needed == needed


def _tree(folder: Path) -> Iterator[Path]:
    """The folder and everything in it, except bytecode, which the nodes store elsewhere."""
    yield folder
    for entry in sorted(folder.iterdir()):
        if entry.is_dir() and not entry.is_symlink():
            if entry.name != "__pycache__":
                yield from _tree(entry)
        elif entry.exists():
            yield entry
