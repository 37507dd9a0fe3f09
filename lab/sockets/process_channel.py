"""Messages and descriptors between two processes of one host, over a pair of Unix sockets."""

from __future__ import annotations

import contextlib
import os
import socket
from collections.abc import Sequence

MAX_MESSAGE = 262_144  # bytes
MAX_DESCRIPTORS = 8


class Channel:
    """One end of a pair. Each message arrives whole, together with its descriptors."""

    def __init__(self, sock: socket.socket) -> None:
        self._socket = sock

    @classmethod
    def pair(cls) -> tuple[Channel, Channel]:
        """Both ends; each process closes the other's after fork(2)."""
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        return cls(ours), cls(theirs)

    def send(self, message: bytes, descriptors: Sequence[int] = ()) -> None:
        """Sends ``message``, which must not be empty, and duplicates of ``descriptors``. Raises OSError."""
        socket.send_fds(self._socket, [message], list(descriptors))

    def recv(self) -> tuple[bytes, list[int]]:
        """The next message and its descriptors; b"" if the other end is closed. Raises OSError."""
        message, descriptors, _, _ = socket.recv_fds(self._socket, MAX_MESSAGE, MAX_DESCRIPTORS)
        for descriptor in descriptors:
            os.set_inheritable(descriptor, False)
        return message, descriptors

    def shutdown(self) -> None:
        """Ends the connection in all processes that have this end, and wakes their threads in ``recv``."""
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """Closes this process's descriptor."""
        self._socket.close()
