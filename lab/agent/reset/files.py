"""The files in the places that the user lab can write to: recorded once, compared and restored later.

No file is followed, renamed or opened through a symbolic link.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeAlias

from lab.agent.reset.removal import remove

Record: TypeAlias = dict[str, Any]  # one file, as JSON

WRITABLE = Path("/usr/lib/socketlab/writable")  # the places in the image, found when it was built
KEPT = 64 << 10  # bytes: a file up to this size is restored, a larger one isn't
MEMORY = ("tmpfs", "mqueue")  # file systems that belong to the container
NOT_SEARCHED = ("/proc", "/sys")
_OPEN = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK


def places(uid: int, mounts: str, image: Path = WRITABLE) -> list[str]:
    """The topmost files and directories that ``uid`` may change, in the container's own file systems.

    ``mounts`` is the text of /proc/self/mountinfo. Folders of the user's machine are left out.
    """
    mounted = dict(mount_points(mounts))
    with suppress(FileNotFoundError):
        listed = [line for line in image.read_text().splitlines() if line not in mounted]
        return _topmost([*listed, *_memory(mounted, uid)])
    return _topmost([*_search("/", mounted, uid), *_memory(mounted, uid)])


def mount_points(text: str) -> Iterator[tuple[str, str]]:
    """The mount points, with the types of their file systems (proc(5))."""
    for line in text.splitlines():
        before, _, after = line.partition(" - ")
        yield before.split()[4].encode().decode("unicode_escape"), after.split()[0]


def _memory(mounted: Mapping[str, str], uid: int) -> Iterator[str]:
    for point, kind in mounted.items():
        if kind in MEMORY and not point.startswith(NOT_SEARCHED) and os.path.isdir(point):
            yield from [point] if _may_change(os.lstat(point), uid) else _search(point, mounted, uid)


def _search(top: str, mounted: Collection[str], uid: int) -> Iterator[str]:
    """The places below a directory, in its own file system."""
    waiting = [top]
    while waiting:
        with suppress(PermissionError), os.scandir(waiting.pop()) as entries:
            for entry in entries:
                if entry.path in mounted or entry.is_symlink():
                    continue
                info = entry.stat(follow_symlinks=False)
                if stat.S_ISCHR(info.st_mode):
                    continue
                if _may_change(info, uid):
                    yield entry.path
                elif stat.S_ISDIR(info.st_mode):
                    waiting.append(entry.path)


def _may_change(info: os.stat_result, uid: int) -> bool:
    return info.st_uid == uid or bool(info.st_mode & stat.S_IWOTH)


def _topmost(found: Iterable[str]) -> list[str]:
    kept: list[str] = []
    for path in sorted(set(found)):
        if not kept or not path.startswith(f"{kept[-1]}/"):
            kept.append(path)
    return kept


def record(tops: Collection[str], mounts: str) -> dict[str, Record]:
    """The files and directories at and below these paths. Unreadable ones are recorded without content."""
    return {path: described(path, info) for path, info in _walk(tops, mounts, lambda path: True)}


def _walk(
    tops: Collection[str], mounts: str, enter: Callable[[str], bool]
) -> Iterator[tuple[str, os.stat_result]]:
    """All files at and below the paths, except those that are mounted there."""
    mounted = {point for point, _ in mount_points(mounts)}
    waiting = list(tops)
    while waiting:
        path = waiting.pop()
        try:
            info = os.lstat(path)
        except FileNotFoundError:
            continue
        yield path, info
        if stat.S_ISDIR(info.st_mode) and enter(path):
            with suppress(OSError):
                below = (f"{path}/{name}" for name in os.listdir(path))
                waiting += [each for each in below if each not in mounted]


def described(path: str, info: os.stat_result) -> Record:
    """The record of a file. If ``quick`` is equal, the file hasn't changed; else the rest is compared."""
    found: Record = {
        "quick": _quick(info),
        "mode": info.st_mode,
        "owner": [info.st_uid, info.st_gid],
        "attributes": _attributes(path),
    }
    if stat.S_ISLNK(info.st_mode):
        found["target"] = os.readlink(path)
    elif stat.S_ISREG(info.st_mode):
        found |= {"size": info.st_size, "modified": info.st_mtime_ns}
        if info.st_size <= KEPT:
            with suppress(OSError):
                found["content"] = read(path).hex()
    return found


def _quick(info: os.stat_result) -> list[int]:
    """No program can set the time of an inode's last change, so an equal time means an unchanged file."""
    if stat.S_ISDIR(info.st_mode):
        return [info.st_ino, info.st_mode, info.st_uid, info.st_gid]
    return [info.st_ino, info.st_ctime_ns, info.st_size, info.st_mode]


def _attributes(path: str) -> dict[str, str]:
    found = {}
    with suppress(OSError):
        for name in os.listxattr(path, follow_symlinks=False):
            if not name.startswith(("security.", "trusted.")):
                found[name] = os.getxattr(path, name, follow_symlinks=False).hex()
    return found


def read(path: str) -> bytes:
    descriptor = os.open(path, _OPEN)
    with open(descriptor, "rb") as file:
        return file.read(KEPT + 1)


def compare(
    known: Mapping[str, Record], tops: Collection[str], mounts: str
) -> tuple[list[str], list[str], list[str]]:
    """The paths that are new, changed, and missing. Of a new directory only the topmost path is named."""
    new, changed, seen = [], [], set()
    for path, info in _walk(tops, mounts, known.__contains__):
        seen.add(path)
        before = known.get(path)
        if before is None:
            new.append(path)
        elif _differs(path, info, before):
            changed.append(path)
    return new, changed, sorted(path for path in known if path not in seen)


def _differs(path: str, info: os.stat_result, before: Record) -> bool:
    if _quick(info) == before["quick"]:
        return stat.S_ISDIR(info.st_mode) and _attributes(path) != before["attributes"]
    if stat.S_ISREG(before["mode"]) and "content" not in before:
        return True
    now = described(path, info)
    return any(now.get(name) != value for name, value in before.items() if name != "quick")


def restore(path: str, before: Record) -> bool:
    """Restores a file. Returns False if its content wasn't kept, or if its owner can't be set."""
    mode = before["mode"]
    if not (stat.S_ISDIR(mode) or stat.S_ISLNK(mode) or "content" in before):
        return False
    try:
        info = os.lstat(path)
    except FileNotFoundError:
        info = None
    if info and stat.S_IFMT(info.st_mode) != stat.S_IFMT(mode):
        remove(path)
        info = None
    try:
        _write(path, before, info is not None)
        for name in _attributes(path).keys() - before["attributes"].keys():
            os.removexattr(path, name, follow_symlinks=False)
        now = os.lstat(path)
        return bool(before["owner"] == [now.st_uid, now.st_gid])
    except OSError:
        return False


def _write(path: str, before: Record, exists: bool) -> None:
    mode = before["mode"]
    if stat.S_ISLNK(mode):
        if not exists or os.readlink(path) != before["target"]:
            remove(path)
            os.symlink(before["target"], path)
        return
    if stat.S_ISDIR(mode):
        if not exists:
            os.mkdir(path)
        os.chmod(path, stat.S_IMODE(mode))
        return
    if exists:  # in place: another process may have it open, or it is a mount
        os.chmod(path, stat.S_IMODE(mode) | stat.S_IWUSR)
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o600)
    with open(descriptor, "wb") as file:
        file.write(bytes.fromhex(before["content"]))
        os.fchmod(file.fileno(), stat.S_IMODE(mode))
    os.utime(path, ns=(before["modified"], before["modified"]), follow_symlinks=False)
