"""Blocking TCP: a connected stream with deadlines, and the iterative server (one client at a time)."""

from __future__ import annotations

import contextlib
import logging
import os
import selectors
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator
from typing import BinaryIO, TypeAlias

from lab.protocols.errors import ProtocolError

logger = logging.getLogger(__name__)

IDLE_TIMEOUT = 60.0  # seconds that a peer may be silent between requests
HEADER_TIMEOUT = 10.0  # seconds from the first byte of a header to its last
VANISHED_TIMEOUT = 30.0  # seconds after which a peer that answers nothing is given up
CONNECT_TIMEOUT = 10.0
BACKLOG = 1024


class Deadline:
    """A moment by which something must be done. ``None`` seconds: never.

    An absolute moment, so that a peer who trickles can't stretch it.
    """

    def __init__(self, seconds: float | None) -> None:
        self._at = None if seconds is None else time.monotonic() + seconds

    def remaining(self) -> float | None:
        """Seconds left. Raises TimeoutError when there are none."""
        if self._at is None:
            return None
        left = self._at - time.monotonic()
        if left <= 0:
            raise TimeoutError("timed out")
        return left


NEVER = Deadline(None)


class Stop:
    """A request to stop, which may come from a signal handler or another thread; waitable by a selector."""

    def __init__(self) -> None:
        self._reader, self._writer = socket.socketpair()
        self._writer.setblocking(False)
        self._set = False
        self._callbacks: list[Callable[[], None]] = []

    def set(self) -> None:
        """Asks to stop. More than once is the same as once."""
        self._set = True
        with contextlib.suppress(OSError):  # full: it has been said often enough
            self._writer.send(b"!")
        for callback in self._callbacks.copy():
            callback()

    @contextlib.contextmanager
    def calls(self, callback: Callable[[], None]) -> Iterator[None]:
        """While in this context, a request to stop also calls ``callback``, maybe from a signal handler."""
        self._callbacks.append(callback)
        try:
            if self._set:
                callback()
            yield
        finally:
            self._callbacks.remove(callback)

    def is_set(self) -> bool:
        return self._set

    def fileno(self) -> int:
        return self._reader.fileno()

    def close(self) -> None:
        self._reader.close()
        self._writer.close()


def format_address(address: tuple[str, int] | tuple[str, int, int, int]) -> str:
    """``host:port`` as people write it: IPv6 in brackets, an IPv4 peer of a dual-stack socket as IPv4."""
    host = address[0].removeprefix("::ffff:")
    return f"[{host}]:{address[1]}" if ":" in host else f"{host}:{address[1]}"


class Stream:
    """A connected TCP socket. Every wait has a deadline; a write is whole or an error; never a SIGPIPE."""

    def __init__(self, sock: socket.socket) -> None:
        self.socket = sock
        self.peer = format_address(sock.getpeername())
        self.local = format_address(sock.getsockname())
        self._lock = threading.RLock()  # request_stop may come from a signal handler of the same thread
        self._idle = False
        self._stopping = False
        tune(sock)

    def recv(self, limit: int = 65_536, deadline: Deadline = NEVER) -> bytes:
        """What has arrived, at most ``limit`` bytes; b"" is the end of the stream.

        Raises TimeoutError at the deadline, ConnectionError where the peer reset.
        """
        self.socket.settimeout(deadline.remaining())
        return self.socket.recv(limit)

    def recv_into(self, buffer: memoryview, deadline: Deadline = NEVER) -> int:
        """As recv, into ``buffer``; 0 is the end of the stream."""
        self.socket.settimeout(deadline.remaining())
        return self.socket.recv_into(buffer)

    def recv_exactly(self, count: int, deadline: Deadline = NEVER) -> bytes:
        """``count`` bytes, or fewer only where the stream ended before."""
        parts = bytearray()
        while len(parts) < count:
            part = self.recv(min(count - len(parts), 1 << 20), deadline)
            if not part:
                break
            parts += part
        return bytes(parts)

    def recv_request(self, limit: int = 65_536, deadline: Deadline | None = None) -> bytes:
        """The first bytes of the peer's next request; b"" also where the server is to stop.

        Between requests is where a server may close without losing anything. The deadline is
        IDLE_TIMEOUT unless told.
        """
        with self._lock:
            if self._stopping:
                return b""
            self._idle = True
        try:
            return self.recv(limit, deadline or Deadline(IDLE_TIMEOUT))
        finally:
            with self._lock:
                self._idle = False

    def sendall(self, data: bytes | bytearray | memoryview, deadline: Deadline = NEVER) -> None:
        """Hands all of ``data`` to the kernel. Raises TimeoutError, ConnectionError."""
        self.socket.settimeout(deadline.remaining())
        self.socket.sendall(data)

    def sendfile(self, file: BinaryIO, offset: int, count: int, deadline: Deadline = NEVER) -> int:
        """Sends up to ``count`` bytes of ``file`` from ``offset``; fewer only where the file is shorter."""
        self.socket.settimeout(deadline.remaining())
        return self.socket.sendfile(file, offset, count)

    def request_stop(self) -> None:
        """From another thread: ends the stream if it is between requests, or as soon as it is."""
        with self._lock:
            self._stopping = True
            if self._idle:
                with contextlib.suppress(OSError):
                    self.socket.shutdown(socket.SHUT_RD)  # wakes the recv with an end of stream

    def finish_sending(self) -> None:
        """Says that no more will be sent (FIN); receiving goes on."""
        with contextlib.suppress(OSError):  # the peer may be gone already
            self.socket.shutdown(socket.SHUT_WR)

    def close(self, linger: float = 1.0) -> None:
        """Closes in the order that loses nothing: FIN, what the peer still sends is read and dropped
        (for ``linger`` seconds at the most), close. A close with unread data would send RST, and the peer
        could lose the answer.
        """
        self.finish_sending()
        deadline = Deadline(linger)
        with contextlib.suppress(OSError):  # TimeoutError too
            while self.recv(65_536, deadline):
                pass
        self.socket.close()

    def abort(self) -> None:
        """Closes at once with RST: what is under way is lost, and the peer is told so."""
        with contextlib.suppress(OSError):
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.socket.close()

    def __enter__(self) -> Stream:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is None:
            self.close()
        else:
            self.socket.close()


def tune(sock: socket.socket) -> None:
    """No Nagle delay; a peer that vanished is noticed within VANISHED_TIMEOUT, idle or not (tcp(7))."""
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    if hasattr(socket, "TCP_KEEPIDLE"):  # Linux; elsewhere the system's own values stand
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, 10)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, 5)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPCNT, 4)
    if hasattr(socket, "TCP_USER_TIMEOUT"):
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, int(VANISHED_TIMEOUT * 1000))


def connect(host: str, port: int, timeout: float = CONNECT_TIMEOUT) -> Stream:
    """A stream to ``host``, over the first of its addresses that answers.

    Raises OSError: socket.gaierror, ConnectionRefusedError, TimeoutError, or what the last address gave.
    """
    return Stream(socket.create_connection((host, port), timeout))


def listen(host: str, port: int, backlog: int = BACKLOG) -> socket.socket:
    """A listening socket. ``host`` "" is every address, IPv4 and IPv6 alike. Raises OSError.

    SO_REUSEADDR is set (create_server), so that a restart doesn't wait for TIME_WAIT to pass.
    """
    if not host and socket.has_dualstack_ipv6():
        return socket.create_server(
            ("::", port), family=socket.AF_INET6, dualstack_ipv6=True, backlog=backlog
        )
    family = socket.AF_INET
    if host:
        family, _, _, _, _ = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    return socket.create_server((host, port), family=family, backlog=backlog)


Handle: TypeAlias = Callable[[Stream], None]


def accept(listener: socket.socket, stop: Stop) -> Iterator[Stream]:
    """Clients as they come, until ``stop``. A shortage of descriptors is waited out, not died of."""
    listener.setblocking(False)
    with selectors.DefaultSelector() as selector:
        selector.register(listener, selectors.EVENT_READ)
        selector.register(stop, selectors.EVENT_READ)
        while not stop.is_set():
            selector.select()
            if stop.is_set():
                return
            try:
                connection, _ = listener.accept()
            except (BlockingIOError, ConnectionError):
                continue  # the client went away before it was accepted
            except OSError as error:
                logger.error("can't accept: %s", os.strerror(error.errno or 0))
                selector.unregister(listener)
                selector.select(0.1)  # the listener stays readable meanwhile: don't spin on it
                selector.register(listener, selectors.EVENT_READ)
                continue
            try:
                yield Stream(connection)
            except OSError:
                connection.close()


def serve(listener: socket.socket, handle: Handle, stop: Stop) -> None:
    """Serves one client after the other until ``stop``; the request being served is finished first.

    While one is served, the others wait in the backlog: what an iterative server is.
    """
    with listener:
        for stream in accept(listener, stop):
            with stop.calls(stream.request_stop):
                converse(stream, handle)


def converse(stream: Stream, handle: Handle) -> None:
    """One client, from accept to close. Whatever goes wrong is logged once and ends only this client."""
    try:
        handle(stream)
    except TimeoutError:
        logger.warning("%s: closed, silent for too long", stream.peer)
    except OSError as error:
        logger.warning("%s: %s", stream.peer, error.strerror or error)
    except ProtocolError as error:
        logger.warning("%s: %s", stream.peer, error)
    except Exception:
        logger.exception("%s: a defect of the server", stream.peer)
    finally:
        stream.close()
