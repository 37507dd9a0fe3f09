"""Other processes of this node that answer the agent's questions, and the requests that wait for answers."""

from __future__ import annotations

import os
import signal
from collections import deque
from collections.abc import Callable, Generator
from contextlib import suppress
from typing import TypeAlias

from lab.agent.lines import JsonObject, Lines, Refused, pair

MAX_ANSWER = 1 << 26  # bytes; a measurement has a few hundred thousand

Question: TypeAlias = "tuple[Peer | None, JsonObject]"
Steps: TypeAlias = Generator[Question, JsonObject, JsonObject]


class Task:
    """A request whose answer depends on the answers of a peer."""

    def __init__(self, number: object, steps: Steps) -> None:
        self.number, self.steps = number, steps


class Peer:
    """A process that answers questions in order: the root half, or a child with a single purpose."""

    def __init__(self, name: str, reader: int, writer: int, child: int | None = None) -> None:
        """``child`` is its process id if it is a child of this process."""
        self.name, self.lines = name, Lines(reader, writer, MAX_ANSWER)
        self.waiting: deque[Task] = deque()
        self._child = child

    def ask(self, question: JsonObject, task: Task) -> None:
        """Raises Refused if it has ended."""
        if self.lines.ended:
            raise Refused(f"{self.name} has ended")
        self.lines.add(question)
        self.waiting.append(task)

    def close(self) -> None:
        """Closes this end, and kills the child, which may be busy and would notice that only later."""
        self.lines.close()
        if self._child is not None:
            os.kill(self._child, signal.SIGKILL)
            os.waitpid(self._child, 0)


def fork(name: str, body: Callable[[Lines], None]) -> Peer:
    """Starts a child that runs ``body`` with its end of the stream, and exits. Raises OSError."""
    ours, theirs = pair()
    try:
        child = os.fork()
    except OSError:
        for descriptor in (*ours, *theirs):
            os.close(descriptor)
        raise
    if child == 0:
        _run(body, theirs)
    for descriptor in theirs:
        os.close(descriptor)
    return Peer(name, *ours, child)


def _run(body: Callable[[Lines], None], stream: tuple[int, int]) -> None:
    """Runs in the child and never returns. It has no descriptors of the agent except for stderr."""
    try:
        null = os.open(os.devnull, os.O_RDWR)
        os.dup2(null, 0)
        os.dup2(null, 1)
        _close_all_but(*stream)
        with suppress(OSError):  # the agent is gone
            body(Lines(*stream))
    finally:
        os._exit(0)


def _close_all_but(*kept: int) -> None:
    begin = 3
    for descriptor in sorted(kept):
        os.closerange(begin, descriptor)
        begin = descriptor + 1
    os.closerange(begin, 1024)
