"""Netlink messages: requests with acknowledgement, dumps, and attributes (netlink(7)). Linux."""

from __future__ import annotations

import os
import socket
import struct
from collections.abc import Iterable, Iterator
from typing import Self, TypeAlias

Attribute: TypeAlias = tuple[int, bytes]  # its type, without flags, and its value

REQUEST, ACK, DUMP = 0x1, 0x4, 0x300
CREATE, APPEND = 0x400, 0x800
ERROR, DONE = 2, 3
INTERRUPTED = 0x10  # NLM_F_DUMP_INTR: the dump isn't consistent
TYPE_MASK = 0x3FFF  # without the flags NESTED and NET_BYTEORDER
NESTED = 0x8000
TIMEOUT = 5.0  # seconds; the kernel answers within a send() or recv()
CHUNK = 1 << 18

_header = struct.Struct("=IHHII")  # nlmsghdr: length, type, flags, sequence, port
_attribute = struct.Struct("=HH")


class Netlink:
    """A netlink socket for requests, one at a time."""

    def __init__(self, protocol: int) -> None:
        """Raises OSError if the kernel lacks the protocol."""
        self._socket = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, protocol)
        self._socket.settimeout(TIMEOUT)
        self._sequence = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()

    def dump(self, kind: int, body: bytes) -> list[tuple[int, bytes]]:
        """All objects of a kind, as types and bodies of messages. Raises OSError.

        A dump that a change interrupted is repeated.
        """
        while True:
            self._send(kind, REQUEST | DUMP, body)
            found, consistent = [], True
            for answer, flags, content in self._answers():
                consistent = consistent and not flags & INTERRUPTED
                found.append((answer, content))
            if consistent:
                return found

    def request(self, kind: int, body: bytes, flags: int = 0) -> None:
        """Sends a request and returns when the kernel has carried it out. Raises OSError."""
        self._send(kind, REQUEST | ACK | flags, body)
        for _ in self._answers():
            pass

    def ask(self, kind: int, body: bytes) -> bytes:
        """The body of the one message that answers a request. Raises OSError."""
        self._send(kind, REQUEST, body)
        for _, _, content in self._answers(acknowledged=False):
            return content
        return b""

    def batch(self, messages: Iterable[tuple[int, int, bytes]], begin: int, end: int, body: bytes) -> None:
        """Sends messages (type, flags, body) that the kernel carries out all or none. Raises OSError."""
        sent = [(begin, 0, body), *messages, (end, 0, body)]
        self._socket.send(b"".join(self._packed(kind, REQUEST | flags, text) for kind, flags, text in sent))
        self._socket.setblocking(False)
        try:
            for _ in self._answers():
                pass
        except BlockingIOError:
            pass  # the kernel has answered before send() returned, or has nothing to report
        finally:
            self._socket.settimeout(TIMEOUT)

    def _send(self, kind: int, flags: int, body: bytes) -> None:
        self._socket.send(self._packed(kind, flags, body))

    def _packed(self, kind: int, flags: int, body: bytes) -> bytes:
        self._sequence = (self._sequence + 1) & 0xFFFFFFFF
        size = _header.size + len(body)
        return _header.pack(size, kind, flags, self._sequence, 0) + body + bytes(-size % 4)

    def _answers(self, *, acknowledged: bool = True) -> Iterator[tuple[int, int, bytes]]:
        """The messages (type, flags, body) up to the last one of a dump, or the acknowledgement."""
        while True:
            data = self._socket.recv(CHUNK)
            at = 0
            while at + _header.size <= len(data):
                size, kind, flags, _, _ = _header.unpack_from(data, at)
                content = data[at + _header.size : at + size]
                if kind == DONE:
                    return
                if kind == ERROR:
                    _raise(content)
                    return
                yield kind, flags, content
                at += (size + 3) & ~3
            if not acknowledged:
                return


def _raise(content: bytes) -> None:
    """Raises the error in an acknowledgement, if there is one."""
    (number,) = struct.unpack_from("=i", content)
    if number:
        raise OSError(-number, os.strerror(-number), "netlink")


def attributes(data: bytes) -> list[Attribute]:
    """The attributes in a message, or in a nested attribute."""
    found, at = [], 0
    while at + _attribute.size <= len(data):
        size, kind = _attribute.unpack_from(data, at)
        if size < _attribute.size:
            break
        found.append((kind & TYPE_MASK, data[at + _attribute.size : at + size]))
        at += (size + 3) & ~3
    return found


def packed(kind: int, value: bytes) -> bytes:
    """An attribute as it is in a message."""
    return _attribute.pack(_attribute.size + len(value), kind) + value + bytes(-len(value) % 4)


def text(value: bytes) -> str:
    """The string in an attribute."""
    return value.partition(b"\0")[0].decode(errors="backslashreplace")
