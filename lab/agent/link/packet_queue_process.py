"""The process that serves the packet queues. A request starts it, and it continues after the request."""

from __future__ import annotations

import mmap
import os
import signal
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeAlias

from lab.agent.lines import Refused
from lab.agent.link.packet_queue import Counters, QueueWorker

Worker: TypeAlias = dict[str, Any]  # pid and start time


def start(open_queues: Callable[[], QueueWorker]) -> Worker:
    """Forks the process and waits until it has opened its queues. Raises Refused if it can't."""
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(reader)
        _become(open_queues, writer)
    os.close(writer)
    with open(reader, "rb") as report:
        answer = report.read()
    if answer != b"ready":
        os.waitpid(child, 0)
        raise Refused(f"the queue can't be opened: {answer.decode(errors='replace')}")
    return {"pid": child, "started": start_time(child)}


def _become(open_queues: Callable[[], QueueWorker], writer: int) -> None:
    """Runs in the child and never returns."""
    code = 1
    try:
        with suppress(OSError):  # without CAP_SYS_NICE packets may be late on a busy machine
            os.setpriority(os.PRIO_PROCESS, 0, -20)
        os.setsid()  # the processes of the request's session get a signal when it ends
        os.closerange(3, writer)  # including the lock
        os.closerange(writer + 1, 1024)
        worker = open_queues()
        null = os.open(os.devnull, os.O_RDWR)
        for stream in range(3):
            os.dup2(null, stream)
        os.close(null)
        os.write(writer, b"ready")
        os.close(writer)
        worker.run()
        code = 0
    except BaseException as error:
        with suppress(OSError):
            os.write(writer, str(error).encode())
    finally:
        os._exit(code)


def is_alive(worker: Worker) -> bool:
    return bool(start_time(worker["pid"]) == worker["started"])


def send_signal(worker: Worker | None, number: signal.Signals) -> None:
    """Sends a signal to the process if it is still running."""
    if worker and is_alive(worker):
        os.kill(worker["pid"], number)


def start_time(pid: int) -> str:
    """The start time of a process, which together with its id identifies it; "" if there is none."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return ""
    return "" if fields[0] == "Z" else fields[19]  # proc(5): state, starttime


def map_counters(path: Path, directions: tuple[str, ...]) -> Counters:
    """The counters in a file, shared with the process that counts. The file is created if it is missing."""
    with open(path, "a+b") as file:
        file.truncate(Counters.size(len(directions)))
        return Counters(mmap.mmap(file.fileno(), 0), directions)
