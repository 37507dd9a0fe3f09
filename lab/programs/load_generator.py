"""Many clients in one event loop, for ``lab-echo send --connections``.

All connect before the first message is sent. Then each sends its messages, one after the other, and verifies
each answer. With ``hold`` no client closes before all are done, which works only with a server that serves
all of them at once.
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
    """The result of a load. ``served_at_once``: the most clients that were between first and last answer."""

    connections: int
    opened: int = 0  # connections open before the first message was sent
    answered: int = 0  # messages
    served_at_once: int = 0
    seconds: float = 0.0
    failures: list[OSError | ProtocolError] = field(default_factory=list)

    def fields(self) -> dict[str, Any]:
        """The values, for a JSON line."""
        return {**vars(self), "seconds": round(self.seconds, 3), "failures": len(self.failures)}

    def summary(self) -> str:
        """A line for people."""
        return (
            f"{self.opened} of {self.connections} connections open at once, {self.served_at_once} served at "
            f"once, {self.answered} messages answered in {self.seconds:.2f} s, {len(self.failures)} failed"
        )


class LoadGenerator:
    """``connections`` clients of ``host``:``port``. Each wait is at most ``timeout`` seconds."""

    def __init__(
        self, host: str, port: int, mode: str, *, connections: int, messages: int, hold: bool, timeout: float
    ) -> None:
        self._host = host
        self._port = port
        self._mode = mode
        self._messages = messages
        self._hold = hold
        self._timeout = timeout
        self._stats = Stats(connections)
        self._active = 0
        self._served: set[int] = set()  # the numbers of the clients between their first and last answer
        self._all_done = asyncio.Event()

    async def run(self) -> Stats:
        """Opens all connections, sends all messages, closes all connections."""
        started = time.monotonic()
        opened = await asyncio.gather(*(self._open() for _ in range(self._stats.connections)))
        streams = [stream for stream in opened if stream is not None]
        self._stats.opened = self._active = len(streams)
        await asyncio.gather(*(self._run_client(number, stream) for number, stream in enumerate(streams, 1)))
        self._stats.seconds = time.monotonic() - started
        return self._stats

    async def _open(self) -> aio.Stream | None:
        try:
            return await aio.connect(self._host, self._port, self._timeout)
        except OSError as error:
            self._stats.failures.append(error)
            return None

    async def _run_client(self, number: int, stream: aio.Stream) -> None:
        """Runs one client, from its first message to its close."""
        async with stream:
            try:
                await self._send_messages(number, stream)
            except (OSError, ProtocolError) as error:
                self._stats.failures.append(error)
            self._active -= 1
            if not self._active:
                self._all_done.set()
            if self._hold:
                await self._all_done.wait()
            self._served.discard(number)
            if self._mode == "reverse":
                with contextlib.suppress(OSError):  # the connection may have failed
                    await stream.sendall(QUIT.encode(), Deadline(self._timeout))

    async def _send_messages(self, number: int, stream: aio.Stream) -> None:
        for turn in range(1, self._messages + 1):
            await self._send_message(stream, f"message {turn} of client {number}, 第{number}号")
            self._stats.answered += 1
            self._served.add(number)
            self._stats.served_at_once = max(self._stats.served_at_once, len(self._served))

    async def _send_message(self, stream: aio.Stream, text: str) -> None:
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
