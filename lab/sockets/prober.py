"""A UDP socket for measurements: the kernel timestamps each datagram on arrival."""

from __future__ import annotations

import socket
import struct
from contextlib import suppress

from lab.sockets.address import Address, errors_name_address

BUFFER = 4 << 20  # bytes

_SO_NO_CHECK = 11  # not in socket(7): no checksum, so that a corrupted datagram arrives and is counted
_SO_TIMESTAMPNS = 35
_SO_MEMINFO = 55  # linux/sock_diag.h: nine numbers, the last one counts drops
_timespec = struct.Struct("@ll")
_meminfo = struct.Struct("=9I")


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

    @property
    def overflowed(self) -> int:
        """Datagrams that arrived but were dropped because the receive buffer was full."""
        drops: int = _meminfo.unpack(self._socket.getsockopt(socket.SOL_SOCKET, _SO_MEMINFO, _meminfo.size))[
            -1
        ]
        return drops

    def fileno(self) -> int:
        return self._socket.fileno()

    def close(self) -> None:
        self._socket.close()

    def send(self, data: bytes) -> bool:
        """Sends one datagram. False if the buffer is full. ICMP errors about earlier ones are ignored."""
        try:
            self._socket.send(data)
        except BlockingIOError:
            return False
        except OSError:  # an ICMP error about an earlier one: the peer isn't listening yet, or is cut off
            with suppress(OSError):
                self._socket.send(data)
        return True

    def receive(self) -> tuple[bytes, int] | None:
        """A datagram and its arrival in ns since the epoch; None if there is none."""
        try:
            data, ancillary, _, _ = self._socket.recvmsg(2048, 64)
        except BlockingIOError:
            return None
        except OSError:  # an ICMP error is reported once; what has arrived comes after it
            return self.receive()
        for level, kind, value in ancillary:
            if level == socket.SOL_SOCKET and kind == _SO_TIMESTAMPNS:
                seconds, nanoseconds = _timespec.unpack(value[: _timespec.size])
                return data, seconds * 10**9 + nanoseconds
        return None
