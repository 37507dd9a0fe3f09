"""Free disk space and memory of this machine, and the number of processes that can still be started."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from lab.doctor.checks.resources import Disk, ResourceFacts
from lab.locale import Message, message

RUNS = "runs"
CGROUPS = (Path("/sys/fs/cgroup"), Path("/sys/fs/cgroup/pids"))  # version 2, version 1


def resources(data_root: str = "") -> ResourceFacts:
    """``data_root`` is the folder of a local engine's images."""
    return ResourceFacts(list(_disks(data_root)), _memory(), _processes())


def _disks(data_root: str) -> Iterator[Disk]:
    temporary = (
        os.environ.get("TMPDIR") or "/tmp"
    )  # not tempfile.gettempdir(), which writes a file to find it
    if data_root:
        prune = message("`docker system df` shows the sizes, `docker system prune` removes what isn't in use")
        yield from measured(data_root, message("the engine's images and containers"), prune)
    delete = message("delete old runs in {folder}/", folder=RUNS)
    yield from measured(_existing(RUNS), message("the recorded runs"), delete, ours=True)
    other = message("delete files there, or set TMPDIR to another folder")
    yield from measured(temporary, message("temporary files"), other, ours=True)


def measured(path: str, use: Message, remedy: Message, *, ours: bool = False) -> Iterator[Disk]:
    """The free space on the disk of ``path``; nothing if this user can't examine it.

    ``ours``: this user writes to it, not the engine.
    """
    with suppress(OSError):
        found = os.statvfs(path)
        by_root = not ours or os.geteuid() == 0  # some blocks are reserved for root
        yield Disk(
            path,
            use,
            remedy,
            free=(found.f_bfree if by_root else found.f_bavail) * found.f_frsize,
            inodes=found.f_favail if found.f_files else None,
            writable=not ours or os.access(path, os.W_OK),
        )


def _existing(path: str) -> str:
    """``path``, or the folder in which it will be created."""
    return path if os.path.isdir(path) else os.curdir


def _memory() -> int | None:
    found = re.search(r"^MemAvailable:\s+(\d+) kB", _text(Path("/proc/meminfo")), re.MULTILINE)
    return int(found[1]) << 10 if found else None


def _processes() -> int | None:
    """The number of processes that the control group of this process still allows."""
    for folder in CGROUPS:
        limit, used = _text(folder / "pids.max").strip(), _text(folder / "pids.current").strip()
        if limit.isdigit() and used.isdigit():
            return int(limit) - int(used)
    return None


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="ascii", errors="replace")
    except OSError:
        return ""
