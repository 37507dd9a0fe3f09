"""One thread for all clients: asyncio, with the names of the blocking I/O model, each wait an ``await``.

It works on plain non-blocking sockets. Nothing is buffered on our side, so memory stays bounded and a
client that doesn't read what it is sent holds up nobody but itself; a stream is a few hundred bytes.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import logging
import os
import socket
import struct
from collections.abc import Awaitable, Callable
from typing import TypeAlias

from lab.protocols.errors import ProtocolError
from lab.sockets.blocking import (
    BUSY,
    BUSY_LINGER,
    CONNECT_TIMEOUT,
    GRACE,
    IDLE_TIMEOUT,
    MAX_CLIENTS,
    NEVER,
    Deadline,
    Stop,
    format_address,
    naming,
    tune,
)

logger = logging.getLogger(__name__)


class Stream:
    """A connected TCP socket. Every wait has a deadline; a write is whole or an error."""

    def __init__(self, sock: socket.socket) -> None:
        sock.setblocking(False)
        self.socket = sock
        self.peer = format_address(sock.getpeername())
        self.local = format_address(sock.getsockname())
        self._loop = asyncio.get_running_loop()
        self._waiter: asyncio.Future[None] | None = None  # of a recv that waits
        self._until: float | None = None  # when that recv must be done
        self._timer: asyncio.TimerHandle | None = None
        self._idle = False  # waiting for a request
        self._stopping = False
        tune(sock)

    async def recv(self, limit: int = 65_536, deadline: Deadline = NEVER) -> bytes:
        """What has arrived, at most ``limit`` bytes; b"" is the end of the stream.

        Raises TimeoutError at the deadline, ConnectionError where the peer reset.
        """
        while True:
            await self._readable(deadline)  # also where data is there already: others get their turn
            with contextlib.suppress(BlockingIOError):
                return self.socket.recv(limit)

    async def recv_request(self, limit: int = 65_536, deadline: Deadline | None = None) -> bytes:
        """The first bytes of the peer's next request; b"" also where the server is to stop.

        The deadline is IDLE_TIMEOUT unless told.
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
        """Hands all of ``data`` to the kernel. Raises TimeoutError, ConnectionError."""
        sent = 0
        with contextlib.suppress(BlockingIOError):
            sent = self.socket.send(data)
        if sent < len(data):
            async with asyncio.timeout(deadline.remaining()):
                await self._loop.sock_sendall(self.socket, memoryview(data)[sent:])

    def request_stop(self) -> None:
        """Ends the stream if it is between requests, or as soon as it is."""
        self._stopping = True
        if self._idle and self._waiter is not None:
            _wake(self._waiter)

    def finish_sending(self) -> None:
        """Says that no more will be sent (FIN); receiving goes on."""
        with contextlib.suppress(OSError):  # the peer may be gone already
            self.socket.shutdown(socket.SHUT_WR)

    async def close(self, linger: float = 1.0) -> None:
        """Closes in the order that loses nothing: FIN, what the peer still sends is read and dropped
        (for ``linger`` seconds at the most), close.
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
        """Closes at once with RST: what is under way is lost, and the peer is told so."""
        with contextlib.suppress(OSError):
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
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
        """Waits for data or the end of the stream; request_stop ends the wait too."""
        deadline.remaining()
        self._watch(deadline)
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

    def _watch(self, deadline: Deadline) -> None:
        """Sets the deadline of the wait. The timer of an earlier wait is kept and set again only when it
        rings too early: cheaper than one timer a wait, where deadlines are far and answers quick.
        """
        self._until = deadline.at
        if self._until is None:
            return
        if self._timer is not None:
            if self._timer.when() <= self._until:
                return
            self._timer.cancel()
        self._timer = self._loop.call_at(self._until, self._ring)

    def _ring(self) -> None:
        self._timer = None
        if self._until is None or self._waiter is None:
            return
        if self._loop.time() < self._until:
            self._timer = self._loop.call_at(self._until, self._ring)
        elif not self._waiter.done():
            self._waiter.set_exception(TimeoutError("timed out"))


def _wake(waiter: asyncio.Future[None]) -> None:
    if not waiter.done():
        waiter.set_result(None)


async def connect(host: str, port: int, timeout: float = CONNECT_TIMEOUT) -> Stream:
    """A stream to ``host``, over the first of its addresses that answers within ``timeout`` seconds.

    Raises OSError: socket.gaierror, ConnectionRefusedError, TimeoutError, or what the last address gave.
    """
    loop = asyncio.get_running_loop()
    with naming(host, port):
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
    """Serves up to ``max_clients`` at once until ``stop``; one more is sent ``busy`` and closed.

    After ``stop`` a client between two requests is closed, one in the middle of a request gets ``grace``
    seconds to finish, and what is left then is cut off.
    """
    loop = asyncio.get_running_loop()
    stopped = asyncio.Event()

    def woken() -> None:
        if stop.is_set():
            stopped.set()

    clients = _Clients(handle, max_clients, busy)
    with listener:
        listener.setblocking(False)
        loop.add_reader(listener, clients.accept, listener)
        loop.add_reader(stop, woken)
        try:
            await stopped.wait()
        finally:
            loop.remove_reader(stop)
            clients.stop_accepting(listener)
    await clients.finish(grace)


class _Clients:
    """The connections being served, and those being refused, each with its task."""

    BATCH = 64  # accepted at a time, before those who are here get their turn again
    MOST_REFUSALS = 1024  # at once; past that a client is told and reset

    def __init__(self, handle: Handle, max_clients: int, busy: bytes) -> None:
        self._handle = handle
        self._max_clients = max_clients
        self._busy = busy
        self._streams: dict[asyncio.Task[None], Stream] = {}
        self._refusals: set[asyncio.Task[None]] = set()
        self._loop = asyncio.get_running_loop()
        self._retry: asyncio.TimerHandle | None = None
        self._short = False

    def accept(self, listener: socket.socket) -> None:
        """Takes clients from the backlog. A shortage of descriptors is waited out, not died of."""
        for _ in range(self.BATCH):
            try:
                connection, _ = listener.accept()
            except BlockingIOError:
                return
            except ConnectionError:  # the client went away before it was accepted
                continue
            except OSError as error:
                self._wait_out(listener, error)
                return
            self._short = False
            try:
                stream = Stream(connection)
            except OSError:  # reset already
                connection.close()
                continue
            self._start(stream)

    def stop_accepting(self, listener: socket.socket) -> None:
        self._loop.remove_reader(listener)
        if self._retry is not None:
            self._retry.cancel()

    async def finish(self, grace: float) -> None:
        """Waits for all of them, ``grace`` seconds at the most."""
        for stream in self._streams.values():
            stream.request_stop()
        if self._streams:
            await asyncio.wait(self._streams, timeout=grace)
        for task, stream in self._streams.items():
            logger.warning("%s: cut off, didn't finish in time", stream.peer)
            task.cancel()
        await asyncio.gather(*self._streams, *self._refusals, return_exceptions=True)

    def _wait_out(self, listener: socket.socket, error: OSError) -> None:
        if not self._short:
            logger.error("can't accept for now: %s", os.strerror(error.errno or 0))
        self._short = True
        self._loop.remove_reader(listener)  # it stays readable meanwhile: don't spin on it
        self._retry = self._loop.call_later(0.1, self._loop.add_reader, listener, self.accept, listener)

    def _start(self, stream: Stream) -> None:
        if len(self._streams) >= self._max_clients:
            self._refuse(stream)
            return
        task = self._loop.create_task(converse(stream, self._handle))
        self._streams[task] = stream
        task.add_done_callback(self._streams.pop)

    def _refuse(self, stream: Stream) -> None:
        """Tells one client too many that the server is busy, and closes it within a second."""
        logger.warning("%s: refused, too many clients", stream.peer)
        with contextlib.suppress(OSError):  # it has gone
            stream.socket.send(self._busy)  # whole: nothing else is in its buffer yet
        if len(self._refusals) >= self.MOST_REFUSALS:
            stream.abort()
            return
        task = self._loop.create_task(stream.close(BUSY_LINGER))
        self._refusals.add(task)
        task.add_done_callback(self._refusals.discard)


async def converse(stream: Stream, handle: Handle) -> None:
    """One client, from accept to close. Whatever goes wrong is logged once and ends only this client."""
    try:
        await handle(stream)
    except asyncio.CancelledError:
        stream.abort()
        raise
    except TimeoutError:
        logger.warning("%s: closed, silent for too long", stream.peer)
    except OSError as error:
        logger.warning("%s: %s", stream.peer, error.strerror or error)
    except ProtocolError as error:
        logger.warning("%s: %s", stream.peer, error)
    except Exception:
        logger.exception("%s: a defect of the server", stream.peer)
    await stream.close()
