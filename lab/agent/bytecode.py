"""Compiles the lab's code, so that its programs start from bytecode, which only root can write on a node."""

from __future__ import annotations

import fcntl
import os
import py_compile
from collections.abc import Iterator
from contextlib import suppress
from importlib.util import cache_from_source
from pathlib import Path

CODE = Path(__file__).parents[1]
ROOMS = ("agent", "link", "locale", "programs", "protocols", "sockets")  # those that are imported on a node
HEADER = 16  # bytes of a pyc file: magic number, flags, modification time and size of the source (PEP 552)


def compile_all(parent: int, code: Path = CODE) -> None:
    """Compiles the files that need it, unless another process does. Stops if the process ``parent`` ends."""
    os.nice(19)
    with suppress(OSError):
        os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))
    cache = Path(cache_from_source(str(code / "__init__.py"))).parent
    cache.mkdir(parents=True, exist_ok=True)
    lock_file = os.open(cache / ".lock", os.O_WRONLY | os.O_CREAT, 0o600)  # only root can hold the lock
    with open(lock_file, "w") as lock, suppress(BlockingIOError):
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        for source in outdated(code):
            if os.getppid() != parent:
                return
            with suppress(OSError, py_compile.PyCompileError):
                py_compile.compile(str(source), doraise=True)


def outdated(code: Path) -> Iterator[Path]:
    """The source files without bytecode of the same version."""
    for room in ROOMS:
        yield from (source for source in sorted((code / room).rglob("*.py")) if not is_compiled(source))


def is_compiled(source: Path) -> bool:
    """True if there is bytecode of this version of the file, as Python checks it."""
    with suppress(FileNotFoundError), open(cache_from_source(str(source)), "rb") as file:
        stat = source.stat()
        header = file.read(HEADER)
        time, size = (int.from_bytes(header[at : at + 4], "little") for at in (8, 12))
        return (time, size) == (int(stat.st_mtime) & 0xFFFFFFFF, stat.st_size & 0xFFFFFFFF)
    return False
