"""Shared by all TCP connections and servers: socket options, limits of a server, how errors are logged."""

from __future__ import annotations

import contextlib
import logging
import socket
import struct
from collections.abc import Iterator

from lab.protocols.errors import ProtocolError

logger = logging.getLogger(__name__)

VANISHED_TIMEOUT = 30.0  # seconds after which a connection to an unreachable peer is given up

# For servers that serve many clients at once:
MAX_CLIENTS = 512
BUSY = b"busy\n"
BUSY_LINGER = 0.5  # seconds between sending BUSY and closing


def set_options(sock: socket.socket) -> None:
    """Disables Nagle's algorithm and detects a vanished peer within VANISHED_TIMEOUT (tcp(7))."""
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    if hasattr(socket, "TCP_KEEPIDLE"):  # Linux; other systems keep their defaults
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, 10)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, 5)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPCNT, 4)
    if hasattr(socket, "TCP_USER_TIMEOUT"):
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, int(VANISHED_TIMEOUT * 1000))


def finish_sending(sock: socket.socket) -> None:
    """Shuts down the sending side (FIN); receiving is still possible."""
    with contextlib.suppress(OSError):  # the peer may be gone already
        sock.shutdown(socket.SHUT_WR)


def reset_on_close(sock: socket.socket) -> None:
    """Makes close() send RST, which discards the data in flight and reports an error to the peer."""
    with contextlib.suppress(OSError):
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


@contextlib.contextmanager
def errors_logged(peer: str) -> Iterator[None]:
    """Logs an error of one client in one line, so that it ends only this client's connection."""
    try:
        yield
    except TimeoutError:
        logger.warning("%s: closed, silent for too long", peer)
    except OSError as error:
        logger.warning("%s: %s", peer, error.strerror or error)
    except ProtocolError as error:
        logger.warning("%s: %s", peer, error)
    except Exception:
        logger.exception("%s: a defect of the server", peer)
