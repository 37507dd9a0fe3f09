"""UDP: each datagram arrives complete or not at all, and the sender isn't notified."""

from __future__ import annotations

import logging
import selectors
import socket
from collections.abc import Callable
from typing import Any, TypeAlias

from lab.sockets.address import Address, errors_name_address, format_address
from lab.sockets.connection import errors_logged
from lab.sockets.deadline import NEVER, Deadline
from lab.sockets.stop import Stop

logger = logging.getLogger(__name__)

LARGEST = 65_535  # bytes; no datagram is longer


class Datagrams:
    """A UDP socket that exchanges datagrams with one peer and ignores all other senders.

    If the socket is connected, the kernel does the filtering, and an ICMP "port unreachable" message from the
    peer makes a *later* operation raise ConnectionRefusedError. An unconnected socket gets no such errors.
    """

    def __init__(self, host: str, port: int, *, local_port: int = 0, connected: bool = False) -> None:
        """Sends from ``local_port`` (0: any free port). Raises OSError, including socket.gaierror."""
        with errors_name_address(host, port):
            found: Any = socket.getaddrinfo(host, port, type=socket.SOCK_DGRAM)[0]
        family, _, _, _, self._address = found
        self.peer = format_address(self._address)
        self.connected = connected
        self.socket = socket.socket(family, socket.SOCK_DGRAM)
        try:
            with errors_name_address("", local_port):
                self.socket.bind(("", local_port))
            if connected:
                with errors_name_address(host, port):
                    self.socket.connect(self._address)
        except OSError:
            self.socket.close()
            raise

    @property
    def local_port(self) -> int:
        return int(self.socket.getsockname()[1])

    def send(self, data: bytes) -> None:
        """Sends one datagram, which may be b"". Raises OSError: EMSGSIZE (too long), ECONNREFUSED …"""
        self.socket.settimeout(None)
        if self.connected:
            self.socket.send(data)
        else:
            self.socket.sendto(data, self._address)

    def recv(self, deadline: Deadline = NEVER) -> bytes:
        """The next datagram from the peer, which may be b"".

        Raises TimeoutError at the deadline and, on a connected socket, ConnectionRefusedError.
        """
        while True:
            self.socket.settimeout(deadline.remaining())
            data, address = self.socket.recvfrom(LARGEST)
            if address[:2] == self._address[:2]:
                return data

    def close(self) -> None:
        self.socket.close()

    def __enter__(self) -> Datagrams:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def listen(host: str, port: int) -> socket.socket:
    """A bound UDP socket. ``host`` "" means all addresses, IPv4 and IPv6. Raises OSError."""
    dualstack = not host and socket.has_dualstack_ipv6()
    with errors_name_address(host, port):
        if dualstack:
            family: int = socket.AF_INET6
        else:
            family = socket.getaddrinfo(host or "0.0.0.0", port, type=socket.SOCK_DGRAM)[0][0]
        sock = socket.socket(family, socket.SOCK_DGRAM)
        try:
            if family == socket.AF_INET6:
                sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, not dualstack)
            sock.bind((host, port))
        except OSError:
            sock.close()
            raise
    return sock


Handle: TypeAlias = Callable[[bytes, Address], bytes | None]


def serve(sock: socket.socket, handle: Handle, stop: Stop) -> None:
    """Calls ``handle`` with each datagram and its sender, and sends its result back, until ``stop``.

    If a datagram can't be handled or answered, the error is logged and the server continues.
    """
    with sock, selectors.DefaultSelector() as selector:
        sock.setblocking(False)
        selector.register(sock, selectors.EVENT_READ)
        selector.register(stop, selectors.EVENT_READ)
        while not stop.is_set():
            selector.select()
            try:
                data, address = sock.recvfrom(LARGEST)
            except BlockingIOError:  # a request to stop, or a datagram with a wrong checksum
                continue
            except OSError as error:
                logger.warning("can't receive: %s", error.strerror or error)
                continue
            _respond(sock, handle, data, address)


def _respond(sock: socket.socket, handle: Handle, data: bytes, address: Address) -> None:
    peer = format_address(address)
    with errors_logged(peer):
        answer = handle(data, address)
        try:
            if answer is not None:
                sock.sendto(answer, address)
        except BlockingIOError:
            logger.warning("%s: answer dropped, the send buffer is full", peer)
