"""Files below a root directory. No name and no symbolic link leads out of it.

A path is opened one component at a time, each relative to the directory before it and never through a
symbolic link (openat(2) with O_NOFOLLOW). Descriptors are held, not names: replacing a directory by a link
during a transfer doesn't change where the data goes.
"""

from __future__ import annotations

import contextlib
import errno
import os
import stat
from collections.abc import Iterator
from itertools import islice
from typing import BinaryIO

from lab.programs.transfer.storage.errno_mapping import refusing
from lab.programs.transfer.storage.partial_file import PartialFiles
from lab.protocols.errors import LocalProtocolError
from lab.protocols.names import MAX_COMPONENTS, Path, check_name, is_partial_name, shown
from lab.protocols.printable import printable
from lab.protocols.transfer import Entry, Refusal, Status

_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC  # O_NONBLOCK: opening a FIFO doesn't block
_SORTED_AT_ONCE = 4096  # entries of a directory, so that memory is bounded


class Root:
    """A directory and the operations below it. Methods raise Refusal."""

    def __init__(self, path: str) -> None:
        """Raises OSError if ``path`` is not a directory."""
        self._fd = os.open(path or ".", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)

    def close(self) -> None:
        os.close(self._fd)

    def __enter__(self) -> Root:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @contextlib.contextmanager
    def directory(self, path: Path) -> Iterator[int]:
        """A descriptor of the directory at ``path``. Raises OSError."""
        fd = os.open(".", _DIRECTORY, dir_fd=self._fd)
        try:
            for name in path:
                below = os.open(check_name(name), _DIRECTORY, dir_fd=fd)
                os.close(fd)
                fd = below
            yield fd
        finally:
            os.close(fd)

    def open(self, path: Path) -> BinaryIO:
        """The regular file at ``path``, for reading."""
        with refusing(path), self.directory(path[:-1]) as parent:
            file = open(os.open(check_name(path[-1]), _FILE, dir_fd=parent), "rb", buffering=0)
        if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
            file.close()
            raise Refusal("not-a-file", f"{shown(path)}: not a regular file")
        return file

    def stat(self, path: Path) -> Status:
        """The status of ``path``. Symbolic links are not followed."""
        with refusing(path):
            if not path:
                return status_of(os.fstat(self._fd))
            with self.directory(path[:-1]) as parent:
                return status_of(os.stat(check_name(path[-1]), dir_fd=parent, follow_symlinks=False))

    def entries(self, path: Path) -> Iterator[Entry]:
        """The entries of a directory, without partial files. Sorted; a huge directory is sorted in parts."""
        with refusing(path), self.directory(path) as fd, os.scandir(fd) as scan:
            while part := list(islice(scan, _SORTED_AT_ONCE)):
                for item in sorted(part, key=lambda item: item.name):
                    with contextlib.suppress(FileNotFoundError):  # removed meanwhile
                        if not is_partial_name(item.name):
                            yield _entry(item.name, status_of(item.stat(follow_symlinks=False)))

    def make_directory(self, path: Path, *, parents: bool) -> int:
        """Returns the number of directories created."""
        made = 0
        with refusing(path):
            for depth in range(1 if parents else len(path), len(path) + 1):
                made += self._make_one(path[:depth], exists_ok=parents)
        return made

    def _make_one(self, path: Path, *, exists_ok: bool) -> int:
        with self.directory(path[:-1]) as parent:
            try:
                os.mkdir(check_name(path[-1]), 0o755, dir_fd=parent)
            except FileExistsError:
                if not exists_ok:
                    raise
                os.close(os.open(path[-1], _DIRECTORY, dir_fd=parent))  # raises if it is not a directory
                return 0
            os.fsync(parent)
        return 1

    def remove(self, path: Path, *, recursive: bool) -> int:
        """Returns the number of files and directories removed. A symbolic link is removed, not its target."""
        if not path:
            raise Refusal("denied", "the root can't be removed")
        with refusing(path), self.directory(path[:-1]) as parent:
            removed = _remove(parent, check_name(path[-1]), recursive, MAX_COMPONENTS)
            os.fsync(parent)
        return removed

    @contextlib.contextmanager
    def partials(self, path: Path) -> Iterator[PartialFiles]:
        """The partial files of ``path``."""
        if not path:
            raise Refusal("not-a-file", "the root is not a file")
        with contextlib.ExitStack() as stack:
            with refusing(path):  # but not errors in the caller's block
                parent = stack.enter_context(self.directory(path[:-1]))
            yield PartialFiles(parent, path)


def status_of(found: os.stat_result) -> Status:
    """The status that is sent to a peer."""
    kind = "special"
    for test, word in ((stat.S_ISREG, "file"), (stat.S_ISDIR, "directory"), (stat.S_ISLNK, "symlink")):
        if test(found.st_mode):
            kind = word
    size = found.st_size if kind == "file" else 0
    return Status(kind, size, found.st_mode & 0o777, min(max(found.st_mtime, 0.0), float(2**33)))


def _entry(name: str, status: Status) -> Entry:
    try:
        return Entry(check_name(name), status.kind, status.size, status.mode, status.mtime)
    except LocalProtocolError:
        return Entry(printable(name), "unnamable", status.size, status.mode, status.mtime)


def _remove(parent: int, name: str, recursive: bool, depth: int) -> int:
    if not stat.S_ISDIR(os.stat(name, dir_fd=parent, follow_symlinks=False).st_mode):
        os.unlink(name, dir_fd=parent)
        return 1
    removed = 0
    if recursive and not depth:
        raise OSError(errno.ELOOP, "directories are nested too deeply")
    fd = os.open(name, _DIRECTORY, dir_fd=parent)
    try:
        names = os.listdir(fd)
        if recursive or all(
            is_partial_name(child) for child in names
        ):  # unlisted files don't count as content
            removed = sum(_remove(fd, child, recursive, depth - 1) for child in names)
    finally:
        os.close(fd)
    os.rmdir(name, dir_fd=parent)
    return removed + 1
