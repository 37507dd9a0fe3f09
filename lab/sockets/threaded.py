"""One thread per client: many clients at once, each served with simple blocking calls."""

from __future__ import annotations

import collections
import contextlib
import logging
import socket
import threading
import time
from collections.abc import Iterable

from lab.sockets.blocking import Handle, Stream, accept, serve_client
from lab.sockets.connection import BUSY, BUSY_LINGER, MAX_CLIENTS
from lab.sockets.deadline import Deadline
from lab.sockets.stop import GRACE, Stop

logger = logging.getLogger(__name__)


def serve(
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
    seconds to finish it; connections that are still open after that are shut down.
    """
    clients = _Clients()
    refusals = _Refusals(busy)
    with listener:
        for stream in accept(listener, stop):
            if len(clients) >= max_clients:
                refusals.add(stream)
            else:
                clients.start(stream, handle)
    clients.finish(grace)
    refusals.finish()


class _Clients:
    """The connections being served, each in its own thread."""

    def __init__(self) -> None:
        self._streams: dict[threading.Thread, Stream] = {}
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return len(self._streams)

    def start(self, stream: Stream, handle: Handle) -> None:
        """Serves ``stream`` in a new thread."""
        thread = threading.Thread(target=self._run, args=(stream, handle), name=stream.peer, daemon=True)
        with self._lock:
            self._streams[thread] = stream
        try:
            thread.start()
        except RuntimeError:  # the limit of threads is reached
            logger.error("%s: closed, can't start a thread", stream.peer)
            self._forget(thread)
            stream.abort()

    def finish(self, grace: float) -> None:
        """Waits up to ``grace`` seconds until all are done, then shuts down the remaining ones."""
        _join(self._running(), grace)
        rest = self._running()
        for stream in rest.values():
            logger.warning("%s: cut off, didn't finish in time", stream.peer)
            stream.shut()  # wakes its thread, which then closes it
        _join(rest, 1.0)

    def _running(self) -> dict[threading.Thread, Stream]:
        with self._lock:
            return dict(self._streams)

    def _run(self, stream: Stream, handle: Handle) -> None:
        try:
            serve_client(stream, handle)
        finally:
            self._forget(threading.current_thread())

    def _forget(self, thread: threading.Thread) -> None:
        with self._lock:
            self._streams.pop(thread, None)


def _join(threads: Iterable[threading.Thread], seconds: float) -> None:
    until = time.monotonic() + seconds
    for thread in threads:
        thread.join(max(0.0, until - time.monotonic()))


class _Refusals:
    """Refused clients. One thread closes all of them, each BUSY_LINGER seconds after it was sent ``busy``:
    closing with unread data would send RST, and the client could lose the message.
    """

    MOST = 1024  # at once; further clients are reset at once

    def __init__(self, busy: bytes) -> None:
        self._busy = busy
        self._leaving: collections.deque[tuple[Stream, Deadline]] = collections.deque()
        self._thread: threading.Thread | None = None
        self._lock = threading.Lock()

    def add(self, stream: Stream) -> None:
        """Sends ``busy`` at once and closes the stream a little later."""
        logger.warning("%s: refused, too many clients", stream.peer)
        stream.socket.setblocking(False)
        with contextlib.suppress(OSError):  # the client has gone
            stream.socket.send(self._busy)  # always fits: the buffer is still empty
        stream.finish_sending()
        with self._lock:
            if len(self._leaving) >= self.MOST or not self._has_thread():
                stream.abort()
            else:
                self._leaving.append((stream, Deadline(BUSY_LINGER)))

    def finish(self) -> None:
        """Waits until the last refused client is closed."""
        thread = self._thread  # the thread sets this to None when it ends
        if thread is not None:
            thread.join()

    def _has_thread(self) -> bool:
        if self._thread is None:
            thread = threading.Thread(target=self._close_all, daemon=True)
            try:
                thread.start()  # it blocks on our lock
            except RuntimeError:  # the limit of threads is reached
                return False
            self._thread = thread
        return True

    def _close_all(self) -> None:
        while leaving := self._next():
            stream, deadline = leaving
            with contextlib.suppress(TimeoutError):
                time.sleep(deadline.remaining() or 0.0)
            with contextlib.suppress(OSError):  # BlockingIOError: no unread data is left
                for _ in range(64):  # a client that keeps sending isn't waited for
                    if not stream.socket.recv(65_536):
                        break
            stream.socket.close()

    def _next(self) -> tuple[Stream, Deadline] | None:
        with self._lock:
            if self._leaving:
                return self._leaving.popleft()
            self._thread = None
            return None
