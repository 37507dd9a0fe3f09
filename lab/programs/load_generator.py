"""Many clients in one event loop: what ``lab-echo send --connections`` does.

All connect before the first message is sent. Then each sends messages of its own, one after the other, and
verifies each answer. With ``hold`` none closes before all are done: only a server that serves them all at
once can do that.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from dataclasses import dataclass, field
from typing import Any

from lab.protocols.echo import HELLO_TEXT, QUIT, Answer, as_message
from lab.protocols.errors import ProtocolError, RemoteProtocolError
from lab.sockets import aio
from lab.sockets.deadline import Deadline


@dataclass
class Stats:
    """What became of a load. ``served_at_once``: the most that had one answer and not yet their last."""

    connections: int
    opened: int = 0  # before the first message was sent
    answered: int = 0  # messages
    served_at_once: int = 0
    seconds: float = 0.0
    failures: list[OSError | ProtocolError] = field(default_factory=list)

    def fields(self) -> dict[str, Any]:
        """As values for a JSON line."""
        return {**vars(self), "seconds": round(self.seconds, 3), "failures": len(self.failures)}

    def summary(self) -> str:
        """As a line for people."""
        return (
            f"{self.opened} of {self.connections} connections open at once, {self.served_at_once} served at "
            f"once, {self.answered} messages answered in {self.seconds:.2f} s, {len(self.failures)} failed"
        )


class LoadGenerator:
    """``connections`` clients of ``host``:``port``; each wait takes ``timeout`` seconds at the most."""

    def __init__(
        self, host: str, port: int, mode: str, *, connections: int, messages: int, hold: bool, timeout: float
    ) -> None:
        self._host = host
        self._port = port
        self._mode = mode
        self._messages = messages
        self._hold = hold
        self._timeout = timeout
        self._tally = Stats(connections)
        self._talking = 0
        self._served: set[int] = set()  # the clients between their first and their last answer
        self._all_done = asyncio.Event()

    async def run(self) -> Stats:
        """Opens them all, lets each talk, closes them all."""
        started = time.monotonic()
        opened = await asyncio.gather(*(self._open() for _ in range(self._tally.connections)))
        streams = [stream for stream in opened if stream is not None]
        self._tally.opened = self._talking = len(streams)
        await asyncio.gather(*(self._visit(number, stream) for number, stream in enumerate(streams, 1)))
        self._tally.seconds = time.monotonic() - started
        return self._tally

    async def _open(self) -> aio.Stream | None:
        try:
            return await aio.connect(self._host, self._port, self._timeout)
        except OSError as error:
            self._tally.failures.append(error)
            return None

    async def _visit(self, number: int, stream: aio.Stream) -> None:
        """One client, from its first message to its close."""
        async with stream:
            try:
                await self._talk(number, stream)
            except (OSError, ProtocolError) as error:
                self._tally.failures.append(error)
            self._talking -= 1
            if not self._talking:
                self._all_done.set()
            if self._hold:
                await self._all_done.wait()
            self._served.discard(number)
            if self._mode == "reverse":
                with contextlib.suppress(OSError):  # it may have failed before
                    await stream.sendall(QUIT.encode(), Deadline(self._timeout))

    async def _talk(self, number: int, stream: aio.Stream) -> None:
        for turn in range(1, self._messages + 1):
            await self._turn(stream, f"message {turn} of client {number}, 第{number}号")
            self._tally.answered += 1
            self._served.add(number)
            self._tally.served_at_once = max(self._tally.served_at_once, len(self._served))

    async def _turn(self, stream: aio.Stream, text: str) -> None:
        deadline = Deadline(self._timeout)
        if self._mode == "hello":
            await stream.sendall(as_message(HELLO_TEXT), deadline)
            if not await stream.recv(deadline=deadline):
                raise RemoteProtocolError("closed", "the server closed the connection without an answer")
            return
        await stream.sendall(as_message(text), deadline)
        answer = Answer(self._mode, text)
        while not answer.received(await stream.recv(deadline=deadline)):
            pass
