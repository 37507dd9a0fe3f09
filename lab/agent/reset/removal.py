"""Removes files and directories, however deep, below directories that a hostile program may still change."""

from __future__ import annotations

import os
import stat
from contextlib import suppress

_FOLDER = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK | os.O_DIRECTORY


def remove(path: str) -> bool:
    """Removes a file, or a directory with everything in it, however deep. Returns False if something is left.

    It follows no symbolic link, so that a process that is still alive can't lead it elsewhere.
    """
    parent, name = os.path.split(path)
    try:
        folder = os.open(parent, _FOLDER & ~os.O_NOFOLLOW)
    except OSError:
        return False
    try:
        _remove_at(folder, name)
        return True
    except FileNotFoundError:
        return True
    except OSError:
        return False
    finally:
        os.close(folder)


def _remove_at(folder: int, name: str) -> None:
    """Removes an entry of an open directory. A directory deep in it is moved up first, so that neither the
    number of open files nor the length of a path limits the depth.
    """
    try:
        os.unlink(name, dir_fd=folder)
        return
    except (IsADirectoryError, PermissionError):
        pass
    while True:
        below = _opened(folder, name)
        try:
            inner = [each for each in os.listdir(below) if not _unlinked(below, each)]
            for number, each in enumerate(inner):
                _lift(below, each, number)
        finally:
            os.close(below)
        if not inner:
            os.rmdir(name, dir_fd=folder)
            return


def _unlinked(folder: int, name: str) -> bool:
    """Removes a file or an empty directory. Returns False for a directory that isn't empty."""
    info = os.stat(name, dir_fd=folder, follow_symlinks=False)
    if not stat.S_ISDIR(info.st_mode):
        os.unlink(name, dir_fd=folder)
        return True
    try:
        os.rmdir(name, dir_fd=folder)
        return True
    except OSError:
        return False


def _lift(folder: int, name: str, number: int) -> None:
    """Moves the entries of a directory in ``folder`` up into ``folder`` itself. Then it is empty."""
    below = _opened(folder, name)
    try:
        for position, each in enumerate(os.listdir(below)):
            if not _unlinked(below, each):
                os.close(_opened(below, each))
                os.rename(
                    each, f".{number}.{position}.{os.urandom(6).hex()}", src_dir_fd=below, dst_dir_fd=folder
                )
    finally:
        os.close(below)


def _opened(folder: int, name: str) -> int:
    """A descriptor of a directory. Its mode is changed if possible, so that its owner can change it."""
    found = os.open(name, os.O_PATH | os.O_NOFOLLOW | os.O_DIRECTORY | os.O_CLOEXEC, dir_fd=folder)
    try:
        with suppress(PermissionError):
            os.chmod(f"/proc/self/fd/{found}", 0o700)  # not by its name, which may lead elsewhere by now
        return os.open(f"/proc/self/fd/{found}", _FOLDER & ~os.O_NOFOLLOW)
    finally:
        os.close(found)
