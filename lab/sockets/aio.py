"""One thread for all clients: asyncio, with the same names as the blocking I/O model.

It uses plain non-blocking sockets and doesn't buffer data itself. So memory is bounded (a stream takes a few
hundred bytes), and a client that doesn't read its answers delays only itself.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import logging
import os
import socket
from collections.abc import Awaitable, Callable
from typing import TypeAlias

from lab.sockets import connection
from lab.sockets.address import errors_name_address, format_address
from lab.sockets.connection import BUSY, BUSY_LINGER, MAX_CLIENTS, errors_logged
from lab.sockets.deadline import CONNECT_TIMEOUT, IDLE_TIMEOUT, NEVER, Deadline
from lab.sockets.stop import GRACE, Stop

logger = logging.getLogger(__name__)


class Stream:
    """A connected TCP socket. Every wait has a deadline; a write is complete or raises."""

    def __init__(self, sock: socket.socket) -> None:
        sock.setblocking(False)
        self.socket = sock
        self.peer = format_address(sock.getpeername())
        self.local = format_address(sock.getsockname())
        self._loop = asyncio.get_running_loop()
        self._waiter: asyncio.Future[None] | None = None  # of the recv that is waiting
        self._until: float | None = None  # the deadline of that recv
        self._timer: asyncio.TimerHandle | None = None
        self._idle = False  # waiting for a request
        self._stopping = False
        connection.set_options(sock)

    async def recv(self, limit: int = 65_536, deadline: Deadline = NEVER) -> bytes:
        """Received data, at most ``limit`` bytes; b"" is the end of the stream.

        Raises TimeoutError at the deadline, ConnectionError if the peer reset the connection.
        """
        while True:
            await self._readable(deadline)  # even if data is available: gives other clients a turn
            with contextlib.suppress(BlockingIOError):
                return self.socket.recv(limit)

    async def recv_request(self, limit: int = 65_536, deadline: Deadline | None = None) -> bytes:
        """The first bytes of the peer's next request; b"" also if the server was asked to stop.

        The default deadline is IDLE_TIMEOUT.
        """
        deadline = deadline or Deadline(IDLE_TIMEOUT)
        self._idle = True
        try:
            while not self._stopping:
                await self._readable(deadline)
                with contextlib.suppress(BlockingIOError):
                    return b"" if self._stopping else self.socket.recv(limit)
        finally:
            self._idle = False
        return b""

    async def sendall(self, data: bytes | bytearray | memoryview, deadline: Deadline = NEVER) -> None:
        """Passes all of ``data`` to the kernel. Raises TimeoutError, ConnectionError."""
        sent = 0
        with contextlib.suppress(BlockingIOError):
            sent = self.socket.send(data)
        if sent < len(data):
            async with asyncio.timeout(deadline.remaining()):
                await self._loop.sock_sendall(self.socket, memoryview(data)[sent:])

    def request_stop(self) -> None:
        """Ends the stream between two requests: now, or after the current request."""
        self._stopping = True
        if self._idle and self._waiter is not None:
            _wake(self._waiter)

    def finish_sending(self) -> None:
        """Shuts down the sending side (FIN); receiving is still possible."""
        connection.finish_sending(self.socket)

    async def close(self, linger: float = 1.0) -> None:
        """Closes without losing data: sends FIN, reads and drops incoming data until the peer closes or
        ``linger`` seconds have passed, then closes.
        """
        self.finish_sending()
        deadline = Deadline(linger)
        try:
            while await self.recv(65_536, deadline):
                pass
        except OSError:  # TimeoutError too
            pass
        finally:
            self._close()

    def abort(self) -> None:
        """Closes at once with RST: data in flight is lost, and the peer gets an error."""
        connection.reset_on_close(self.socket)
        self._close()

    async def __aenter__(self) -> Stream:
        return self

    async def __aexit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is None:
            await self.close()
        else:
            self._close()

    def _close(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self.socket.close()

    async def _readable(self, deadline: Deadline) -> None:
        """Waits for data, for the end of the stream, or for request_stop."""
        deadline.remaining()
        self._set_timer(deadline)
        self._waiter = waiter = self._loop.create_future()
        descriptor = self.socket.fileno()
        if descriptor < 0:
            raise OSError(errno.EBADF, os.strerror(errno.EBADF))
        self._loop.add_reader(descriptor, _wake, waiter)
        try:
            await waiter
        finally:
            self._loop.remove_reader(descriptor)
            self._waiter = self._until = None

    def _set_timer(self, deadline: Deadline) -> None:
        """Sets the deadline of the wait. The timer of an earlier wait is kept, and restarted when it expires
        too early: with long deadlines and quick answers this is cheaper than a new timer for each wait.
        """
        self._until = deadline.at
        if self._until is None:
            return
        if self._timer is not None:
            if self._timer.when() <= self._until:
                return
            self._timer.cancel()
        self._timer = self._loop.call_at(self._until, self._on_timer)

    def _on_timer(self) -> None:
        self._timer = None
        if self._until is None or self._waiter is None:
            return
        if self._loop.time() < self._until:
            self._timer = self._loop.call_at(self._until, self._on_timer)
        elif not self._waiter.done():
            self._waiter.set_exception(TimeoutError("timed out"))


def _wake(waiter: asyncio.Future[None]) -> None:
    if not waiter.done():
        waiter.set_result(None)


async def connect(host: str, port: int, timeout: float = CONNECT_TIMEOUT) -> Stream:
    """A stream to the first address of ``host`` that accepts the connection within ``timeout`` seconds.

    Raises OSError (socket.gaierror, ConnectionRefusedError, TimeoutError …): the error of the last address.
    """
    loop = asyncio.get_running_loop()
    with errors_name_address(host, port):
        addresses = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        for family, kind, protocol, _, address in addresses:
            sock = socket.socket(family, kind, protocol)
            sock.setblocking(False)
            try:
                async with asyncio.timeout(timeout):
                    await loop.sock_connect(sock, address)
                return Stream(sock)
            except OSError as error:
                sock.close()
                failure = error
            except BaseException:
                sock.close()
                raise
        raise failure


Handle: TypeAlias = Callable[[Stream], Awaitable[None]]


async def serve(
    listener: socket.socket,
    handle: Handle,
    stop: Stop,
    *,
    max_clients: int = MAX_CLIENTS,
    busy: bytes = BUSY,
    grace: float = GRACE,
) -> None:
    """Serves up to ``max_clients`` at once until ``stop``; further clients are sent ``busy`` and closed.

    After ``stop``, clients between two requests are closed. Clients with a request in progress get ``grace``
    seconds to finish it; connections that are still open after that are reset.
    """
    loop = asyncio.get_running_loop()
    stopped = asyncio.Event()

    def on_stop() -> None:
        if stop.is_set():
            stopped.set()

    clients = _Clients(handle, max_clients, busy)
    with listener:
        listener.setblocking(False)
        loop.add_reader(listener, clients.accept, listener)
        loop.add_reader(stop, on_stop)
        try:
            await stopped.wait()
        finally:
            loop.remove_reader(stop)
            clients.stop_accepting(listener)
    await clients.finish(grace)


class _Clients:
    """The connections being served and the refused ones, each with its task."""

    BATCH = 64  # clients accepted before the others get a turn
    MOST_REFUSALS = 1024  # at once; further clients are reset at once

    def __init__(self, handle: Handle, max_clients: int, busy: bytes) -> None:
        self._handle = handle
        self._max_clients = max_clients
        self._busy = busy
        self._streams: dict[asyncio.Task[None], Stream] = {}
        self._refusals: set[asyncio.Task[None]] = set()
        self._loop = asyncio.get_running_loop()
        self._retry: asyncio.TimerHandle | None = None
        self._out_of_descriptors = False

    def accept(self, listener: socket.socket) -> None:
        """Accepts clients from the backlog. If descriptors run out, it logs that once and tries again."""
        for _ in range(self.BATCH):
            try:
                connection, _ = listener.accept()
            except BlockingIOError:
                return
            except ConnectionError:  # the client went away before it was accepted
                continue
            except OSError as error:
                self._retry_later(listener, error)
                return
            self._out_of_descriptors = False
            try:
                stream = Stream(connection)
            except OSError:  # the peer has already reset it
                connection.close()
                continue
            self._start(stream)

    def stop_accepting(self, listener: socket.socket) -> None:
        self._loop.remove_reader(listener)
        if self._retry is not None:
            self._retry.cancel()

    async def finish(self, grace: float) -> None:
        """Waits up to ``grace`` seconds until all are done, then resets the remaining ones."""
        for stream in self._streams.values():
            stream.request_stop()
        if self._streams:
            await asyncio.wait(self._streams, timeout=grace)
        for task, stream in self._streams.items():
            logger.warning("%s: cut off, didn't finish in time", stream.peer)
            task.cancel()
        await asyncio.gather(*self._streams, *self._refusals, return_exceptions=True)

    def _retry_later(self, listener: socket.socket, error: OSError) -> None:
        if not self._out_of_descriptors:
            logger.error("can't accept for now: %s", os.strerror(error.errno or 0))
        self._out_of_descriptors = True
        self._loop.remove_reader(listener)  # it stays readable: don't spin
        self._retry = self._loop.call_later(0.1, self._loop.add_reader, listener, self.accept, listener)

    def _start(self, stream: Stream) -> None:
        if len(self._streams) >= self._max_clients:
            self._refuse(stream)
            return
        task = self._loop.create_task(serve_client(stream, self._handle))
        self._streams[task] = stream
        task.add_done_callback(self._streams.pop)

    def _refuse(self, stream: Stream) -> None:
        """Sends ``busy`` to a client above the limit and closes it within a second."""
        logger.warning("%s: refused, too many clients", stream.peer)
        with contextlib.suppress(OSError):  # the client has gone
            stream.socket.send(self._busy)  # always fits: the buffer is still empty
        if len(self._refusals) >= self.MOST_REFUSALS:
            stream.abort()
            return
        task = self._loop.create_task(stream.close(BUSY_LINGER))
        self._refusals.add(task)
        task.add_done_callback(self._refusals.discard)


async def serve_client(stream: Stream, handle: Handle) -> None:
    """Serves one client, from accept to close. An error is logged and ends only this connection."""
    try:
        with errors_logged(stream.peer):
            await handle(stream)
    except asyncio.CancelledError:
        stream.abort()
        raise
    await stream.close()
