"""The kinds of labs in a test session. Tests with the same description and profile share a lab."""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from os.path import lexists
from pathlib import Path

from lab.engine.description import topologies
from lab.topology.description import FILE


@dataclass(frozen=True)
class LabKind:
    """The properties in which the labs of a session differ."""

    description: Path
    profile: str = ""

    @classmethod
    def of(cls, wanted: Path | str, profile: str = "") -> LabKind:
        """``wanted`` is a file, a folder with a lab.toml, or the name of a shipped topology.

        Raises UsageError.
        """
        found = topologies.find(str(wanted)) if isinstance(wanted, Path) else topologies.shipped(wanted)
        return cls(found, profile)

    @property
    def name(self) -> str:
        """A name that is unique in a session: "star-windows", "office-1f2e3d4c"."""
        return "-".join(filter(None, [self._topology, self.profile]))

    @property
    def _topology(self) -> str:
        path = self.description
        if path.parent == topologies.FOLDER:
            return "" if path.stem == topologies.DEFAULT else path.stem
        return f"{topologies.project_name(path)}-{zlib.crc32(bytes(path)):08x}"

    def __str__(self) -> str:
        file = self.description
        about = file.stem if file.parent == topologies.FOLDER else file
        return " ".join(filter(None, [f"topology {about}", self.profile]))


def described_for(path: Path, root: Path) -> Path | None:
    """The lab.toml of the folder of ``path``, or the closest one above it up to ``root``."""
    for folder in path.parents:
        if lexists(folder / FILE):
            return folder / FILE
        if folder == root:
            break
    return root / FILE if lexists(root / FILE) else None
