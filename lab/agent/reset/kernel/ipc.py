"""System V IPC of this node: shared memory, semaphores and message queues outlive their processes."""

from __future__ import annotations

from pathlib import Path

from lab.agent.reset.findings import Finding, finding

TABLES = {"shm": "shmctl", "sem": "semctl", "msg": "msgctl"}
REMOVE = 0  # IPC_RMID


def reset(folder: Path = Path("/proc/sysvipc")) -> list[Finding]:
    """Removes the objects that belong to the user of this process; those of other users are left."""
    found = [(kind, number) for kind in TABLES for number in _numbers(folder / kind)]
    if not found:
        return []
    left = [f"{kind} {number}" for kind, number in found if not _removed(kind, number)]
    names = [f"{kind} {number}" for kind, number in found]
    return [
        *finding("ipc", [each for each in names if each not in left]),
        *finding("ipc", left, undone=False),
    ]


def _numbers(table: Path) -> list[int]:
    try:
        lines = table.read_text().splitlines()[1:]
    except OSError:
        return []  # the kernel has no System V IPC
    return [int(line.split()[1]) for line in lines]


def _removed(kind: str, number: int) -> bool:
    import ctypes  # rarely needed

    function = getattr(ctypes.CDLL(None), TABLES[kind])
    arguments = (number, REMOVE, None) if kind != "sem" else (number, 0, REMOVE)
    return bool(function(*arguments) == 0)
