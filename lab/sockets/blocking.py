"""Blocking TCP: a connected stream with deadlines, and the iterative server (one client at a time)."""

from __future__ import annotations

import contextlib
import logging
import os
import selectors
import socket
import struct
from collections.abc import Callable, Iterator
from typing import BinaryIO, TypeAlias

from lab.sockets import connection
from lab.sockets.address import errors_name_address, format_address, plain_host
from lab.sockets.connection import errors_logged
from lab.sockets.deadline import CONNECT_TIMEOUT, IDLE_TIMEOUT, NEVER, Deadline
from lab.sockets.stop import Stop

logger = logging.getLogger(__name__)

BACKLOG = 1024  # connections that may wait to be accepted

# poll needs no descriptor of its own, unlike epoll. Windows doesn't have it.
_Selector: type[selectors.BaseSelector] = getattr(selectors, "PollSelector", selectors.SelectSelector)


class Stream:
    """A connected TCP socket. Every wait has a deadline; a write is complete or raises; no SIGPIPE."""

    def __init__(self, sock: socket.socket, stop: Stop | None = None) -> None:
        self.socket = sock
        address = sock.getpeername()
        self.peer, self.peer_host = format_address(address), plain_host(address)
        self.local = format_address(sock.getsockname())
        self._stop = stop
        self._selector: selectors.BaseSelector | None = None
        connection.set_options(sock)

    def recv(self, limit: int = 65_536, deadline: Deadline = NEVER) -> bytes:
        """Received data, at most ``limit`` bytes; b"" is the end of the stream.

        Raises TimeoutError at the deadline, ConnectionError if the peer reset the connection.
        """
        self.socket.settimeout(deadline.remaining())
        return self.socket.recv(limit)

    def recv_into(self, buffer: memoryview, deadline: Deadline = NEVER) -> int:
        """As recv, but into ``buffer``. Returns the number of bytes; 0 is the end of the stream."""
        self.socket.settimeout(deadline.remaining())
        return self.socket.recv_into(buffer)

    def recv_exactly(self, count: int, deadline: Deadline = NEVER) -> bytes:
        """``count`` bytes, or fewer if the stream ends first."""
        parts = bytearray()
        while len(parts) < count:
            part = self.recv(min(count - len(parts), 1 << 20), deadline)
            if not part:
                break
            parts += part
        return bytes(parts)

    def recv_request(self, limit: int = 65_536, deadline: Deadline | None = None) -> bytes:
        """The first bytes of the peer's next request; b"" also if the server was asked to stop.

        Between two requests a server can close the connection without losing data. The default deadline is
        IDLE_TIMEOUT.
        """
        deadline = deadline or Deadline(IDLE_TIMEOUT)
        if self._stop is not None and not self._wait_for_request(self._stop, deadline):
            return b""
        return self.recv(limit, deadline)

    def _wait_for_request(self, stop: Stop, deadline: Deadline) -> bool:
        """Waits until the stream is readable (True) or the server is asked to stop (False)."""
        if self._selector is None:
            self._selector = _Selector()
            self._selector.register(self.socket, selectors.EVENT_READ)
            self._selector.register(stop, selectors.EVENT_READ)
        while not stop.is_set():
            ready = self._selector.select(deadline.remaining())
            if any(key.fileobj is self.socket for key, _ in ready):
                return not stop.is_set()
        return False

    def sendall(self, data: bytes | bytearray | memoryview, deadline: Deadline = NEVER) -> None:
        """Passes all of ``data`` to the kernel. Raises TimeoutError, ConnectionError."""
        self.socket.settimeout(deadline.remaining())
        self.socket.sendall(data)

    def send_some(self, data: bytes | bytearray | memoryview) -> int:
        """Passes as much data to the kernel as its buffer can take now. Returns the number of bytes."""
        self.socket.settimeout(0)
        try:
            return self.socket.send(data)
        except BlockingIOError:
            return 0

    def fileno(self) -> int:
        """The descriptor, for poll and selectors."""
        return self.socket.fileno()

    def sendfile(
        self, file: BinaryIO, offset: int, count: int, deadline: Deadline = NEVER, stall: float | None = None
    ) -> int:
        """Sends ``count`` bytes of ``file`` from ``offset`` on. Returns fewer if the file is shorter.

        Raises TimeoutError at the deadline, or when the peer has taken nothing for ``stall`` seconds.
        socket.sendfile() isn't used: its timeout starts again whenever the peer takes a byte.
        """
        self.socket.settimeout(0)
        sent = 0
        while sent < count:
            deadline.remaining()
            try:
                part = os.sendfile(self.socket.fileno(), file.fileno(), offset + sent, count - sent)
            except BlockingIOError:
                self._wait_until_writable(deadline if stall is None else deadline.or_earlier(stall))
                continue
            if not part:
                break
            sent += part
        return sent

    def _wait_until_writable(self, deadline: Deadline) -> None:
        with _Selector() as selector:
            selector.register(self.socket, selectors.EVENT_WRITE)
            while not selector.select(deadline.remaining()):
                pass

    def readable(self) -> bool:
        """Whether recv would return or raise at once. A sender can check it for an early answer."""
        with _Selector() as selector:
            selector.register(self.socket, selectors.EVENT_READ)
            return bool(selector.select(0))

    def silence(self) -> float:
        """Seconds since the kernel last received data from the peer (TCP_INFO, tcp(7))."""
        if not hasattr(socket, "TCP_INFO"):  # only Linux has it
            return 0.0
        info = self.socket.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 104)
        (milliseconds,) = struct.unpack_from("I", info, 52)  # tcpi_last_data_recv
        return float(milliseconds) / 1000

    def finish_sending(self) -> None:
        """Shuts down the sending side (FIN); receiving is still possible."""
        connection.finish_sending(self.socket)

    def shut(self) -> None:
        """Shuts down both directions, which also wakes a thread that waits for this stream."""
        with contextlib.suppress(OSError):
            self.socket.shutdown(socket.SHUT_RDWR)

    def close(self, linger: float = 1.0) -> None:
        """Closes without losing data: sends FIN, reads and drops incoming data until the peer closes or
        ``linger`` seconds have passed, then closes. Closing with unread data would send RST, and the peer
        could lose the answer.
        """
        self.finish_sending()
        deadline = Deadline(linger)
        with contextlib.suppress(OSError):  # TimeoutError too
            while self.recv(65_536, deadline):
                pass
        self.socket.close()

    def abort(self) -> None:
        """Closes at once with RST: data in flight is lost, and the peer gets an error."""
        connection.reset_on_close(self.socket)
        self.socket.close()

    def __enter__(self) -> Stream:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is None:
            self.close()
        else:
            self.socket.close()


def connect(host: str, port: int, timeout: float = CONNECT_TIMEOUT) -> Stream:
    """A stream to the first address of ``host`` that accepts the connection within ``timeout`` seconds.

    Raises OSError (socket.gaierror, ConnectionRefusedError, TimeoutError …): the error of the last address.
    """
    with errors_name_address(host, port):
        sock = socket.create_connection((host, port), timeout)
        try:
            return Stream(sock)
        except OSError:  # the peer has already reset it
            sock.close()
            raise


def listen(host: str, port: int, backlog: int = BACKLOG) -> socket.socket:
    """A listening socket. ``host`` "" means all addresses, IPv4 and IPv6. Raises OSError.

    create_server sets SO_REUSEADDR, so a restart doesn't have to wait for the end of TIME_WAIT.
    """
    with errors_name_address(host, port):
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
    """Yields clients until ``stop``. If descriptors run out, it logs that once and tries again."""
    listener.setblocking(False)
    out_of_descriptors = False
    with selectors.DefaultSelector() as selector:
        selector.register(stop, selectors.EVENT_READ)
        while not stop.is_set():
            selector.register(listener, selectors.EVENT_READ)
            selector.select()
            selector.unregister(listener)
            if stop.is_set():
                return
            try:
                connection, _ = listener.accept()
            except (BlockingIOError, ConnectionError):
                continue  # the client went away before it was accepted
            except OSError as error:
                if not out_of_descriptors:
                    logger.error("can't accept for now: %s", os.strerror(error.errno or 0))
                out_of_descriptors = True
                selector.select(0.1)  # without the listener, which stays readable: don't spin
                continue
            out_of_descriptors = False
            try:
                stream = Stream(connection, stop)
            except OSError:  # the peer has already reset it
                connection.close()
                continue
            yield stream


def serve(listener: socket.socket, handle: Handle, stop: Stop) -> None:
    """Serves one client after the other until ``stop``; the current request is finished first.

    Meanwhile the other clients wait in the backlog: this is an iterative server.
    """
    with listener:
        for stream in accept(listener, stop):
            serve_client(stream, handle)


def serve_client(stream: Stream, handle: Handle) -> None:
    """Serves one client, from accept to close. An error is logged and ends only this connection."""
    try:
        with errors_logged(stream.peer):
            handle(stream)
    finally:
        stream.close()
