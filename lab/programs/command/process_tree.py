"""Finding and killing processes with everything that they have started.

Needs Linux 5.4 (pidfd_open) and /proc/PID/task/TID/children; without the latter no descendants are found.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import select
import signal
import time
from collections.abc import Iterable

KILL_TIME = 2.0  # seconds that killed processes get to disappear
_PR_SET_CHILD_SUBREAPER = 36
_MOST_AT_ONCE = 10_000  # processes that are listed before they are killed


def adopt_orphans() -> None:
    """Makes this process, instead of init, adopt its orphaned descendants (prctl(2))."""
    ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def children(pid: int) -> list[int]:
    """The children of ``pid``; of all its threads, since each thread has its own."""
    found = []
    with contextlib.suppress(OSError):
        for task in os.listdir(f"/proc/{pid}/task"):
            with contextlib.suppress(OSError), open(f"/proc/{pid}/task/{task}/children", "rb") as file:
                found += [int(child) for child in file.read().split()]
    return found


def with_descendants(pids: Iterable[int]) -> list[int]:
    """``pids``, their children, and so on."""
    found = list(pids)
    for pid in found:  # the list grows meanwhile; the limit ends this for a fork bomb
        if len(found) > _MOST_AT_ONCE:
            break
        found += children(pid)
    return found


def kill(pids: Iterable[int], until: float) -> int:
    """Kills ``pids`` and waits for them to exit, until the time.monotonic() value ``until``.

    Returns how many it killed. Processes that had ended or belong to another user (sudo) don't count.
    """
    dying = []
    for pid in pids:
        with contextlib.suppress(OSError):
            descriptor = os.pidfd_open(pid)
            try:
                signal.pidfd_send_signal(descriptor, signal.SIGKILL)
                dying.append(descriptor)
            except OSError:
                os.close(descriptor)
    for descriptor in dying:
        wait_for_end(descriptor, max(0.0, until - time.monotonic()))
        os.close(descriptor)
    return len(dying)


def wait_for_end(pidfd: int, seconds: float | None = None) -> None:
    """Waits until the process of ``pidfd`` has ended, at most ``seconds``."""
    poll = select.poll()
    poll.register(pidfd, select.POLLIN)
    poll.poll(None if seconds is None else seconds * 1000)


def reap(pid: int) -> bool:
    """True if the child ``pid`` has ended; it is removed from the process table then."""
    try:
        return os.waitpid(pid, os.WNOHANG)[0] == pid
    except ChildProcessError:
        return True
