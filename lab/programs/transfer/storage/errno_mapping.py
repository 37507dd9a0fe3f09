"""Maps the operating system's errors to refusals that are sent to a peer."""

from __future__ import annotations

import contextlib
import errno
from collections.abc import Iterator

from lab.protocols.names import Path, shown
from lab.protocols.transfer import Refusal

_CODES = {
    errno.ENOENT: ("not-found", "no such file or directory"),
    errno.ENOTDIR: ("not-a-directory", "not a directory, or a symbolic link (never followed)"),
    errno.ELOOP: ("symlink", "a symbolic link (never followed)"),
    errno.EEXIST: ("exists", "exists already"),
    errno.EISDIR: ("not-a-file", "is a directory"),
    errno.ENOTEMPTY: ("not-empty", "the directory isn't empty"),
    errno.EACCES: ("denied", "permission denied"),
    errno.EPERM: ("denied", "not permitted"),
    errno.EROFS: ("denied", "the file system is read-only"),
    errno.ENOSPC: ("no-space", "no space left on the device"),
    errno.EDQUOT: ("no-space", "the disk quota is used up"),
    errno.ENAMETOOLONG: ("name-refused", "the name is too long"),
}  # fmt: skip


@contextlib.contextmanager
def refusing(path: Path) -> Iterator[None]:
    """Turns an OSError inside this context into a Refusal that names ``path``."""
    try:
        yield
    except OSError as error:
        code, text = _CODES.get(error.errno or 0, ("failed", error.strerror or str(error)))
        raise Refusal(code, f"{shown(path)}: {text}") from error
