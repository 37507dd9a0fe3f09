"""Other state of the kernel that belongs to this node: its sysctls, its name, its mounts. Runs as root."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from lab.agent.reset import files
from lab.agent.reset.findings import Finding, finding

SYSCTLS = Path("/proc/sys/net")
# They are counters, need a privilege to be read, or change when a module of the kernel is loaded.
NOT_COMPARED = (
    "_count",
    "/flush",
    "stable_secret",
    "_available",
    "available_congestion_control",
    "available_ulp",
)
READ_SIZE = 1 << 14


def save() -> dict[str, Any]:
    return {"sysctls": dict(_sysctls()), "name": os.uname().nodename, "mounts": mounts()}


def reset(saved: Mapping[str, Any]) -> list[Finding]:
    """Restores the sysctls if the kernel lets us. In a container /proc/sys is read-only."""
    now = dict(_sysctls())
    known: dict[str, str] = saved["sysctls"]
    changed = sorted(name for name in now.keys() | known.keys() if now.get(name) != known.get(name))
    for name in changed:
        with suppress(OSError, KeyError):
            (SYSCTLS / name).write_text(known[name])
    left = [name for name in changed if _read(str(SYSCTLS / name)) != known.get(name)]
    names = ["net." + name.replace("/", ".") for name in changed]
    return [
        *finding("sysctl", names, undone=not left),
        *finding("hostname", [os.uname().nodename] * (os.uname().nodename != saved["name"]), undone=False),
        *finding("mount", _changed_mounts(saved["mounts"]), undone=False),
    ]


def mounts() -> list[list[str]]:
    return [list(each) for each in files.mount_points(mount_table())]


def mount_table() -> str:
    return Path("/proc/self/mountinfo").read_text()


def _changed_mounts(known: list[list[str]]) -> list[str]:
    now = mounts()
    return [point for point, kind in now if [point, kind] not in known] + [
        point for point, kind in known if [point, kind] not in now
    ]


def _sysctls() -> Iterator[tuple[str, str]]:
    top = str(SYSCTLS)
    waiting = [top]
    while waiting:
        with os.scandir(waiting.pop()) as entries:
            for entry in entries:
                if entry.is_dir(follow_symlinks=False):
                    waiting.append(entry.path)
                elif not entry.name.endswith(NOT_COMPARED) and (value := _read(entry.path)) is not None:
                    yield entry.path[len(top) + 1 :], value


def _read(path: str) -> str | None:
    """The value; None if it can't be read, or doesn't exist."""
    try:
        descriptor = os.open(path, os.O_RDONLY)
    except OSError:
        return None
    try:
        return os.read(descriptor, READ_SIZE).decode(errors="backslashreplace")
    except OSError:
        return None
    finally:
        os.close(descriptor)
