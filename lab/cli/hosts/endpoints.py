"""The two ends of `lab cp`: a path of this machine, of a host, or of a user's container.

At each end the program lab/remote/file_copy.py sends or receives.
"""

from __future__ import annotations

import os
import selectors
import shlex
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Protocol, TypeAlias

from lab.cli.hosts.target import Place, Targets
from lab.engine.workloads.beside import ROOT, container_beside
from lab.engine.workloads.exec_session import ExecSession
from lab.engine.workloads.workload import EngineWorkload
from lab.remote import ssh

PROGRAM = Path(ssh.__file__).with_name("file_copy.py")
CHUNK = 1 << 18
EXIT_TIMEOUT = 10.0  # seconds for the local program to remove an incomplete file

Action: TypeAlias = Literal["send", "receive"]


class Copier(Protocol):
    """The program at one end, while it runs."""

    def pump(self, on_output: Callable[[str, bytes], Any], deadline: float | None) -> bool: ...
    def feed(self, data: bytes) -> None: ...
    def close_stdin(self) -> None: ...
    def close(self) -> None: ...
    @property
    def exit_code(self) -> int | None: ...


@dataclass(frozen=True)
class Endpoint:
    """SRC or DST: PATH, or HOST:PATH. ``host`` is "" for this machine."""

    text: str
    host: str
    path: str

    @classmethod
    def parse(cls, text: str) -> Endpoint:
        """As scp does: a colon before the first slash separates the host."""
        host, colon, path = text.partition(":")
        if not colon or "/" in host:
            return cls(text, "", text)
        return cls(text, host, path)

    @contextmanager
    def copier(self, action: Action, targets: Targets, on: Place | None) -> Iterator[Copier]:
        """Starts the program. Raises EnvironmentFailure, and UsageError if there is no such host."""
        with ExitStack() as stack:
            if not self.host:
                copier: Copier = LocalCopier(action, self.path)
            elif container := targets[self.host].container(on):
                copier = self._in_container(stack, container, action)
            else:
                connection = targets[self.host].dial()
                stack.callback(connection.close)
                code = PROGRAM.read_text(encoding="utf-8")
                copier = connection.execute(
                    shlex.join(["exec", "python3", "-P", "-S", "-c", code, action, self.path or "."])
                )
            stack.callback(copier.close)
            yield copier

    def _in_container(self, stack: ExitStack, workload: EngineWorkload, action: Action) -> Copier:
        beside = stack.enter_context(container_beside(workload))
        folder = str(workload.container.attrs["Config"]["WorkingDir"] or "/")
        code = PROGRAM.read_text(encoding="utf-8")
        argv = ["python3", "-I", "-S", "-c", code, action, self.path or ".", ROOT, folder]
        return ExecSession(beside, argv, workload.helper_image)


class LocalCopier:
    """The program on this machine."""

    def __init__(self, action: Action, path: str) -> None:
        pipe = subprocess.PIPE
        self._process = subprocess.Popen(
            [sys.executable, "-I", "-S", str(PROGRAM), action, path],
            stdin=pipe,
            stdout=pipe,
            stderr=pipe,
            start_new_session=True,  # Ctrl-C ends it by the end of its input: it then removes what it began
        )
        assert self._process.stdin is not None
        self._stdin = self._process.stdin

    def pump(self, on_output: Callable[[str, bytes], Any], deadline: float | None) -> bool:
        with selectors.DefaultSelector() as selector:
            selector.register(self._process.stdout or 0, selectors.EVENT_READ, "stdout")
            selector.register(self._process.stderr or 0, selectors.EVENT_READ, "stderr")
            while selector.get_map():
                left = None if deadline is None else max(0.0, deadline - time.monotonic())
                ready = selector.select(left)
                if not ready:
                    return False
                for key, _events in ready:
                    if data := os.read(key.fd, CHUNK):
                        on_output(key.data, data)
                    else:
                        selector.unregister(key.fileobj)
        self._process.wait()
        return True

    def feed(self, data: bytes) -> None:
        self._stdin.write(data)
        self._stdin.flush()

    def close_stdin(self) -> None:
        with suppress(OSError):
            self._stdin.close()

    def close(self) -> None:
        self.close_stdin()
        for pipe in (self._process.stdout, self._process.stderr):
            if pipe is not None:
                pipe.close()
        self._process.wait(EXIT_TIMEOUT)

    @property
    def exit_code(self) -> int | None:
        return self._process.poll()
