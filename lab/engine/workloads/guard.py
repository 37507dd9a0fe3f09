"""Kills a command in a container if the process that started it is killed.

The engine lets a command run on when its client is gone (moby/moby#9098, open). So another process waits for
the end of its standard input: the other end closes with the process that holds it, even after SIGKILL.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from lab.shipped import CODE

if TYPE_CHECKING:  # the other process imports them only if it has to kill
    from lab.engine.workloads.exec_session import ExecSession
    from lab.engine.workloads.workload import EngineWorkload

DONE = b"done"


@contextmanager
def guarded(workload: EngineWorkload, session: ExecSession) -> Iterator[None]:
    """Kills the command if this process is killed while the context lasts."""
    argv = [sys.executable, "-m", __name__, str(workload.container.id), session.id, workload.helper_image]
    environment = {**os.environ, "PYTHONPATH": str(CODE.parent)}
    quiet = subprocess.DEVNULL
    process = subprocess.Popen(
        argv,
        env=environment,
        stdin=subprocess.PIPE,
        stdout=quiet,
        stderr=quiet,
        start_new_session=True,  # signals to this process group aren't meant for it
    )
    assert process.stdin is not None
    try:
        yield
    finally:
        with suppress(BrokenPipeError), process.stdin:
            process.stdin.write(DONE)


def main(container: str, execution: str, image: str) -> None:
    """Waits for the end of standard input, and kills the command unless the input is DONE."""
    if sys.stdin.buffer.read() == DONE:
        return
    from lab.engine.client import Engine
    from lab.engine.workloads.kill import kill_exec
    from lab.errors import LabError

    with suppress(LabError), Engine() as engine:
        found = engine.container(container)
        if process := engine.process_of(execution):
            kill_exec(found, process, "SIGKILL", image)


if __name__ == "__main__":
    main(*sys.argv[1:])
