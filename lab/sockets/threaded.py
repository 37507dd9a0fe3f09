"""A thread for each client: many at once, each with blocking calls that read from top to bottom."""

from __future__ import annotations

import contextlib
import logging
import socket
import threading
import time

from lab.sockets.blocking import Deadline, Handle, Stop, Stream, accept, converse

logger = logging.getLogger(__name__)

MAX_CLIENTS = 512
GRACE = 10.0  # seconds that clients get to finish after a request to stop


def serve(
    listener: socket.socket,
    handle: Handle,
    stop: Stop,
    *,
    max_clients: int = MAX_CLIENTS,
    busy: bytes = b"busy\n",
    grace: float = GRACE,
) -> None:
    """Serves up to ``max_clients`` at once until ``stop``; one more is sent ``busy`` and closed.

    After ``stop`` a client between two requests is closed, one in the middle of a request gets ``grace``
    seconds to finish, and what is left then is reset.
    """
    clients = _Clients()
    with listener:
        for stream in accept(listener, stop):
            if len(clients) >= max_clients:
                clients.refuse(stream, busy)
            else:
                clients.start(stream, handle)
    clients.finish(grace)


class _Clients:
    """The connections being served, each with its thread."""

    MAX_REFUSALS = 64  # being told "busy" at once; past that a connection is only closed

    def __init__(self) -> None:
        self._threads: dict[threading.Thread, Stream] = {}
        self._refusals = 0
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return len(self._threads)

    def start(self, stream: Stream, handle: Handle) -> None:
        """Serves ``stream`` in a thread of its own."""
        thread = threading.Thread(target=self._run, args=(stream, handle), name=stream.peer, daemon=True)
        with self._lock:
            self._threads[thread] = stream
        try:
            thread.start()
        except RuntimeError:  # no more threads to be had
            logger.error("%s: closed, can't start a thread", stream.peer)
            stream.abort()
            self._forget(thread)

    def refuse(self, stream: Stream, busy: bytes) -> None:
        """Tells one client too many that the server is busy, and closes it within a second."""
        if self._refusals >= self.MAX_REFUSALS:
            stream.abort()
            return
        with self._lock:
            self._refusals += 1
        logger.warning("%s: refused, too many clients", stream.peer)

        def run() -> None:
            with contextlib.suppress(OSError):
                stream.sendall(busy, Deadline(0.4))
            stream.close(linger=0.4)
            with self._lock:
                self._refusals -= 1

        threading.Thread(target=run, daemon=True).start()

    def finish(self, grace: float) -> None:
        """Waits for all of them, ``grace`` seconds at the most."""
        with self._lock:
            running = dict(self._threads)
        for stream in running.values():
            stream.request_stop()
        until = time.monotonic() + grace
        for thread in running:
            thread.join(max(0.0, until - time.monotonic()))
        with self._lock:
            rest = dict(self._threads)
        for stream in rest.values():
            logger.warning("%s: reset, didn't finish in time", stream.peer)
            with contextlib.suppress(OSError):
                stream.socket.shutdown(socket.SHUT_RDWR)  # wakes its thread, which then closes
        for thread in rest:
            thread.join(1.0)

    def _run(self, stream: Stream, handle: Handle) -> None:
        try:
            converse(stream, handle)
        finally:
            self._forget(threading.current_thread())

    def _forget(self, thread: threading.Thread) -> None:
        with self._lock:
            self._threads.pop(thread, None)
