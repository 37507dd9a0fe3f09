"""A UDP socket for measurements: the kernel timestamps each datagram on arrival."""

from __future__ import annotations

import socket
import struct
from contextlib import suppress

from lab.sockets.address import Address, errors_name_address

BUFFER = 4 << 20  # bytes

_SO_NO_CHECK = 11  # not in socket(7): no checksum, so that a corrupted datagram arrives and is counted
_SO_TIMESTAMPNS = 35
_timespec = struct.Struct("@ll")


class ProbeSocket:
    """An IPv4 socket that is bound to a port and connected to one peer."""

    def __init__(self, port: int, peer: str) -> None:
        """Raises OSError, with the port or the peer in its ``filename``."""
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        try:
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, BUFFER)
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, BUFFER)
            self._socket.setsockopt(socket.SOL_SOCKET, _SO_NO_CHECK, 1)
            self._socket.setsockopt(socket.SOL_SOCKET, _SO_TIMESTAMPNS, 1)
            with errors_name_address("", port):
                self._socket.bind(("", port))
            with errors_name_address(peer, port):
                self._socket.connect((peer, port))
        except BaseException:
            self._socket.close()
            raise
        self._socket.setblocking(False)

    @property
    def address(self) -> Address:
        address: Address = self._socket.getsockname()
        return address

    def fileno(self) -> int:
        return self._socket.fileno()

    def close(self) -> None:
        self._socket.close()

    def send(self, data: bytes) -> bool:
        """Sends one datagram. False if the buffer is full. Errors from the peer's kernel are ignored."""
        try:
            self._socket.send(data)
        except BlockingIOError:
            return False
        except OSError:  # an ICMP message about an earlier one: the peer isn't there yet, or cut off
            with suppress(OSError):
                self._socket.send(data)
        return True

    def receive(self) -> tuple[bytes, int] | None:
        """A datagram, and when it came in ns since the epoch; None where there is none."""
        try:
            data, ancillary, _, _ = self._socket.recvmsg(2048, 64)
        except BlockingIOError:
            return None
        except OSError:  # an ICMP message, told once: what has arrived is behind it
            return self.receive()
        for level, kind, value in ancillary:
            if level == socket.SOL_SOCKET and kind == _SO_TIMESTAMPNS:
                seconds, nanoseconds = _timespec.unpack(value[: _timespec.size])
                return data, seconds * 10**9 + nanoseconds
        return None
