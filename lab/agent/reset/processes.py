"""Finds the processes of this node, and kills those that don't belong to it, without starting a process.

A process is identified by its id and its start time, not by its name or its command line.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Collection, Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple, TypeAlias

Identity: TypeAlias = tuple[
    int, int
]  # the process id, and the start time in clock ticks since the machine's start

PROC = Path("/proc")
MANY = 64  # processes: if there are more, all are stopped before they are examined
TIMEOUT = 5.0  # seconds until killed processes are gone; their parents must reap them
PAUSE = 0.001  # seconds between two looks at processes that are ending
STARTER = 0  # the parent of a process that came from outside: `docker exec`
_LIMITS = "limits", "oom_score_adj"


class Process(NamedTuple):
    """A process, as proc(5) shows it."""

    pid: int
    started: int
    parent: int
    session: int
    state: str  # proc(5): R, S, D, T, t, Z, …
    name: str
    uid: int
    priority: tuple[str, ...]  # nice value and scheduling policy

    @property
    def identity(self) -> Identity:
        return self.pid, self.started


def processes() -> dict[int, Process]:
    """All processes of this node, by process id."""
    found = {}
    for name in os.listdir(PROC):
        if name.isdigit():
            with suppress(OSError):  # it has ended
                found[int(name)] = process(int(name))
    return found


def process(pid: int) -> Process:
    """Raises OSError if there is no such process."""
    stat = _read(f"{PROC}/{pid}/stat").decode(errors="backslashreplace")
    name, _, rest = stat.partition("(")[2].rpartition(")")
    fields = rest.split()
    status = _read(f"{PROC}/{pid}/status")
    uid = int(status.partition(b"\nUid:\t")[2].split(None, 1)[0])
    return Process(
        pid, int(fields[19]), int(fields[1]), int(fields[3]), fields[0], name, uid, (fields[16], fields[38])
    )


def ancestors(found: Mapping[int, Process], pid: int) -> list[Process]:
    """The process itself, its parent, and so on."""
    chain = []
    while (each := found.get(pid)) is not None and each not in chain:
        chain.append(each)
        pid = each.parent
    return chain


def descendants(found: Mapping[int, Process], pid: int) -> set[int]:
    """The children of a process, their children, and so on."""
    children: dict[int, list[int]] = {}
    for each in found.values():
        children.setdefault(each.parent, []).append(each.pid)
    gone, waiting = set[int](), [pid]
    while waiting:
        below = children.get(waiting.pop(), [])
        gone.update(below)
        waiting += below
    return gone


def kill_others(spared: Collection[Identity], uid: int) -> list[Process]:
    """Kills all processes of ``uid`` but the spared ones, and returns those that it has killed.

    This process must have that uid. A process that forks all the time can't escape: one system call stops all
    processes of the uid at once, and no process can fork while a signal is pending.
    """
    killed: dict[Identity, Process] = {}
    until = time.monotonic() + TIMEOUT
    while True:
        others = [each for each in processes().values() if each.uid == uid and each.identity not in spared]
        if not others or time.monotonic() > until:
            return list(killed.values())
        new = [each for each in others if each.identity not in killed]
        if new:
            stop_all()
            continue_all(spared)
            for each in others:
                send_signal(each, signal.SIGKILL)
        killed |= {each.identity: each for each in new}
        for each in others:
            _reap(each)
        time.sleep(PAUSE if not new else 0)


def _reap(target: Process) -> None:
    """Reaps the process if it is a child of this one."""
    if target.parent == os.getpid():
        with suppress(ChildProcessError):
            os.waitpid(target.pid, os.WNOHANG)


def kill_uid(uid: int) -> None:
    """Kills all processes of another uid, in a child process that takes that uid."""
    child = os.fork()
    if child == 0:
        with suppress(OSError):
            os.setgroups([])
            os.setresuid(uid, uid, uid)
            os.kill(-1, signal.SIGKILL)
        os._exit(0)
    os.waitpid(child, 0)


def number_of_processes(folder: Path = Path("/sys/fs/cgroup")) -> int:
    """The number of processes and threads of this node, from its cgroup; 0 if that has none."""
    for file in (folder / "pids.current", folder / "pids" / "pids.current"):
        with suppress(OSError, ValueError):
            return int(_read(str(file)))
    return 0


def stop_all() -> None:
    """Stops all processes of our own uid except this one."""
    with suppress(ProcessLookupError, PermissionError):
        os.kill(-1, signal.SIGSTOP)


def continue_all(spared: Iterable[Identity]) -> None:
    """Continues these processes if they are stopped."""
    for pid, started in spared:
        with suppress(OSError):
            if process(pid).started == started:
                os.kill(pid, signal.SIGCONT)


def send_signal(target: Process, number: signal.Signals) -> None:
    """Sends the signal, unless the process has ended, or belongs to another uid."""
    with suppress(OSError):
        if process(target.pid).started == target.started:
            os.kill(target.pid, number)


def fingerprint(pid: int) -> dict[str, object]:
    """The properties of a running process that others can change: limits, priority, allowed processors.

    Raises OSError if it has ended.
    """
    found: dict[str, object] = {name: _read(f"{PROC}/{pid}/{name}").decode() for name in _LIMITS}
    status = _read(f"{PROC}/{pid}/status").partition(b"\nCpus_allowed_list:\t")[2]
    processors = status.partition(b"\n")[0].decode()
    return found | {"priority": list(process(pid).priority), "processors": processors}


def is_stopped(target: Process) -> bool:
    return target.state in "Tt"


def described(target: Process) -> str:
    """A process as a finding names it."""
    try:
        command = _read(f"{PROC}/{target.pid}/cmdline").replace(b"\0", b" ").decode(errors="backslashreplace")
    except OSError:
        command = ""
    return f"{command.strip()[:60] or target.name} ({target.pid})"


def _read(path: str) -> bytes:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        return os.read(descriptor, 1 << 14)
    finally:
        os.close(descriptor)
