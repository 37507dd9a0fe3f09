"""A thread for each client: many at once, each with blocking calls that read from top to bottom."""

from __future__ import annotations

import collections
import contextlib
import logging
import socket
import threading
import time
from collections.abc import Iterable

from lab.sockets.blocking import (
    BUSY,
    BUSY_LINGER,
    GRACE,
    MAX_CLIENTS,
    Deadline,
    Handle,
    Stop,
    Stream,
    accept,
    converse,
)

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
    """Serves up to ``max_clients`` at once until ``stop``; one more is sent ``busy`` and closed.

    After ``stop`` a client between two requests is closed, one in the middle of a request gets ``grace``
    seconds to finish, and what is left then is cut off.
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
    """The connections being served, each with its thread."""

    def __init__(self) -> None:
        self._streams: dict[threading.Thread, Stream] = {}
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return len(self._streams)

    def start(self, stream: Stream, handle: Handle) -> None:
        """Serves ``stream`` in a thread of its own."""
        thread = threading.Thread(target=self._run, args=(stream, handle), name=stream.peer, daemon=True)
        with self._lock:
            self._streams[thread] = stream
        try:
            thread.start()
        except RuntimeError:  # no more threads to be had
            logger.error("%s: closed, can't start a thread", stream.peer)
            self._forget(thread)
            stream.abort()

    def finish(self, grace: float) -> None:
        """Waits for all of them, ``grace`` seconds at the most; they have seen the request to stop."""
        _join(self._running(), grace)
        rest = self._running()
        for stream in rest.values():
            logger.warning("%s: cut off, didn't finish in time", stream.peer)
            stream.shut()  # wakes its thread, which then closes
        _join(rest, 1.0)

    def _running(self) -> dict[threading.Thread, Stream]:
        with self._lock:
            return dict(self._streams)

    def _run(self, stream: Stream, handle: Handle) -> None:
        try:
            converse(stream, handle)
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
    """The clients that were told "busy". One thread closes them all, each BUSY_LINGER seconds later: a
    close with unread data would send RST at once, and the client could lose the word.
    """

    MOST = 1024  # at once; past that a client is told and reset

    def __init__(self, busy: bytes) -> None:
        self._busy = busy
        self._leaving: collections.deque[tuple[Stream, Deadline]] = collections.deque()
        self._thread: threading.Thread | None = None
        self._lock = threading.Lock()

    def add(self, stream: Stream) -> None:
        """Tells ``stream`` at once, and closes it a little later."""
        logger.warning("%s: refused, too many clients", stream.peer)
        stream.socket.setblocking(False)
        with contextlib.suppress(OSError):  # it has gone
            stream.socket.send(self._busy)  # whole: nothing else is in its buffer yet
        stream.finish_sending()
        with self._lock:
            if len(self._leaving) >= self.MOST or not self._has_thread():
                stream.abort()
            else:
                self._leaving.append((stream, Deadline(BUSY_LINGER)))

    def finish(self) -> None:
        """Waits until the last of them is closed."""
        thread = self._thread  # it sets this to None at its end
        if thread is not None:
            thread.join()

    def _has_thread(self) -> bool:
        if self._thread is None:
            thread = threading.Thread(target=self._see_off, daemon=True)
            try:
                thread.start()  # it waits for our lock
            except RuntimeError:  # no more threads to be had
                return False
            self._thread = thread
        return True

    def _see_off(self) -> None:
        while leaving := self._next():
            stream, deadline = leaving
            with contextlib.suppress(TimeoutError):
                time.sleep(deadline.remaining() or 0.0)
            with contextlib.suppress(OSError):  # BlockingIOError: nothing is left unread
                for _ in range(64):  # who sends faster than that has no ear for the word
                    if not stream.socket.recv(65_536):
                        break
            stream.socket.close()

    def _next(self) -> tuple[Stream, Deadline] | None:
        with self._lock:
            if self._leaving:
                return self._leaving.popleft()
            self._thread = None
            return None
