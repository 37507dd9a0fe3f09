"""The images of the nodes. They are built from the package's files if they are missing or of another version.

An image has a label with the digest of the files that it was built from.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from lab import shipped
from lab.engine.client import Engine
from lab.errors import EnvironmentFailure
from lab.locale import Message, message
from lab.topology.compose.images import NodeImage

LABEL = "socketlab.source"
DEFAULT_BASE = "debian:trixie-slim"
BASES = ("SERVER_BASE", "CLIENT_BASE")  # variables of docker-compose.yml
DIGEST_LENGTH = 16  # hexadecimal digits
WINDOWS = "socketlab/windows"


def source_digest(folder: Path = shipped.IMAGES, environ: Mapping[str, str] = os.environ) -> str:
    """The digest of the images' files and of the names of their base images, as scripts/setup computes it."""
    files = {f"./{path.relative_to(folder).as_posix()}": path for path in _sources(folder)}
    lines = [f"{_sha256(files[name].read_bytes())}  {name}" for name in sorted(files, key=os.fsencode)]
    lines += sorted({environ.get(name) or DEFAULT_BASE for name in BASES})
    return _sha256("".join(f"{line}\n" for line in lines).encode())[:DIGEST_LENGTH]


def _sources(folder: Path) -> Iterator[Path]:
    """All files below ``folder`` but bytecode, which pip writes when it installs the package."""
    return (path for path in folder.rglob("*") if path.is_file() and "__pycache__" not in path.parts)


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def outdated(engine: Engine, images: Iterable[NodeImage], digest: str) -> list[tuple[NodeImage, str | None]]:
    """The images to build. Each comes with the digest of the present one, None if there is none."""
    present = engine.image_labels(LABEL)
    found = ((image, present.get(f"{image.name}:latest")) for image in images)
    return [(image, source) for image, source in found if source != digest]


def require_version(engine: Engine, project: str, digest: str) -> None:
    """Raises EnvironmentFailure if a node of the project has an image with another digest.

    Another version on the same engine can build its images between the check of ours and the start.
    """
    if engine.labels_of_nodes(project, LABEL) - {digest}:
        raise EnvironmentFailure(
            message("{project}: another version built its images meanwhile; try again", project=project)
        )


def notices(images: Iterable[tuple[NodeImage, str | None]]) -> list[Message]:
    """The texts that a user reads before these images are built."""
    sources = {image.name: source for image, source in images}
    other = ", ".join(name for name, source in sources.items() if source is not None)
    missing = ", ".join(name for name, source in sources.items() if source is None)
    texts = []
    if other:
        texts.append(message("building {names} again: they belong to another version", names=other))
    if missing:
        texts.append(message("building {names}: this takes about a minute the first time", names=missing))
    if sources.get(WINDOWS, "") is None:
        size = "{image} downloads 120 MB; it is 150 MB larger than a plain host's image"
        texts.append(message(size, image=WINDOWS))
    return texts


def require_bases(engine: Engine, images: Iterable[NodeImage], problem: EnvironmentFailure) -> None:
    """Raises EnvironmentFailure if a build failed with ``problem`` because a base image is missing."""
    reason = str(problem).strip().rpartition("\n")[2]
    for base in sorted({image.base for image in images}):
        if not engine.has_image(base):
            raise EnvironmentFailure(_missing_base(base, reason))


def _missing_base(base: str, reason: str) -> Message:
    if base != DEFAULT_BASE:
        return message(
            "{base} is not on this machine, and no registry provides it ({reason}); correct its name, or load"
            " the image with `docker load`",
            base=base,
            reason=reason,
        )
    return message(
        "{base} is not on this machine, and no registry provides it ({reason}). On Debian, this"
        " command creates it: mmdebstrap --variant=minbase --include=ca-certificates trixie -"
        " | docker import - {base}",
        base=base,
        reason=reason,
    )
