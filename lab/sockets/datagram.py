"""UDP: datagrams whole or not at all, each on its own; nobody says whether one arrived."""

from __future__ import annotations

import logging
import selectors
import socket
from collections.abc import Callable
from typing import Any, TypeAlias

from lab.sockets.blocking import NEVER, Address, Deadline, Stop, format_address, naming

logger = logging.getLogger(__name__)

LARGEST = 65_535  # bytes: no datagram is longer


class Datagrams:
    """A UDP socket that talks to one other address, and hears no third one.

    Connected, the kernel does the filtering, and tells when nothing listens there: ICMP's "port
    unreachable" becomes the ConnectionRefusedError of a *later* operation. Unconnected, nobody tells.
    """

    def __init__(self, host: str, port: int, *, local_port: int = 0, connected: bool = False) -> None:
        """Sends from ``local_port`` (0: any free one). Raises OSError, socket.gaierror too."""
        with naming(host, port):
            found: Any = socket.getaddrinfo(host, port, type=socket.SOCK_DGRAM)[0]
        family, _, _, _, self._address = found
        self.peer = format_address(self._address)
        self.connected = connected
        self.socket = socket.socket(family, socket.SOCK_DGRAM)
        try:
            with naming("", local_port):
                self.socket.bind(("", local_port))
            if connected:
                with naming(host, port):
                    self.socket.connect(self._address)
        except OSError:
            self.socket.close()
            raise

    @property
    def local_port(self) -> int:
        return int(self.socket.getsockname()[1])

    def send(self, data: bytes) -> None:
        """Sends one datagram; b"" is one too. Raises OSError (EMSGSIZE: too long), ConnectionRefusedError."""
        self.socket.settimeout(None)
        if self.connected:
            self.socket.send(data)
        else:
            self.socket.sendto(data, self._address)

    def recv(self, deadline: Deadline = NEVER) -> bytes:
        """The next datagram from the other address, which may be b"".

        Raises TimeoutError at the deadline, ConnectionRefusedError where connected.
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
    """A bound UDP socket. ``host`` "" is every address, IPv4 and IPv6 alike. Raises OSError."""
    dualstack = not host and socket.has_dualstack_ipv6()
    with naming(host, port):
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
    """Hands each datagram and its sender to ``handle`` until ``stop``, and sends back what that returns.

    A datagram that can't be handled or answered is logged; it ends nothing.
    """
    with sock, selectors.DefaultSelector() as selector:
        sock.setblocking(False)
        selector.register(sock, selectors.EVENT_READ)
        selector.register(stop, selectors.EVENT_READ)
        while not stop.is_set():
            selector.select()
            try:
                data, address = sock.recvfrom(LARGEST)
            except BlockingIOError:  # woken to stop, or by a datagram with a wrong checksum
                continue
            except OSError as error:
                logger.warning("can't receive: %s", error.strerror or error)
                continue
            _respond(sock, handle, data, address)


def _respond(sock: socket.socket, handle: Handle, data: bytes, address: Address) -> None:
    try:
        answer = handle(data, address)
        if answer is not None:
            sock.sendto(answer, address)
    except BlockingIOError:
        logger.warning("%s: answer dropped, the send buffer is full", format_address(address))
    except OSError as error:
        logger.warning("%s: %s", format_address(address), error.strerror or error)
    except Exception:
        logger.exception("%s: a defect of the server", format_address(address))
