"""The sockets of this host, from its kernel: sock_diag(7), which needs no privilege."""

from __future__ import annotations

import socket
import struct
from collections.abc import Iterator
from typing import NamedTuple

NETLINK_SOCK_DIAG = 4
SOCK_DIAG_BY_FAMILY = 20
DUMP = 0x301  # NLM_F_REQUEST | NLM_F_DUMP
DONE, ERROR = 3, 2
HEADER = struct.Struct("=IHHII")  # nlmsghdr: length, type, flags, sequence, port
REQUEST = struct.Struct("=BBBxI48x")  # inet_diag_req_v2: family, protocol, extensions, states, no socket id
SOCKET = struct.Struct("=BBBB2s2s16s16sI8sIIIII")  # inet_diag_msg

# The numbers of TCP's states (include/net/tcp_states.h).
STATES = {
    1: "ESTABLISHED", 2: "SYN_SENT", 3: "SYN_RECV", 4: "FIN_WAIT1", 5: "FIN_WAIT2", 6: "TIME_WAIT",
    7: "CLOSE", 8: "CLOSE_WAIT", 9: "LAST_ACK", 10: "LISTEN", 11: "CLOSING", 12: "SYN_RECV",
}  # fmt: skip
AFTER_FIN = ("CLOSE_WAIT", "LAST_ACK", "CLOSING")
ALL_STATES = 0x1FFF
MAPPED = bytes(10) + b"\xff\xff"  # before an IPv4 address in an IPv6 one
TCP, UDP = socket.IPPROTO_TCP, socket.IPPROTO_UDP


class Sample(NamedTuple):
    """The state of one socket. Queues are in bytes. For a LISTEN socket they are the number of connections
    that wait to be accepted, and the backlog. ``inode`` is 0 if no process has the socket open.
    """

    protocol: int  # TCP | UDP
    family: int  # AF_INET | AF_INET6
    state: int
    local: tuple[str, int]
    remote: tuple[str, int]
    receive_queue: int
    send_queue: int
    inode: int
    cookie: bytes  # identifies the socket


class SockDiag:
    """A netlink socket for requests. Raises OSError if the kernel has no sock_diag."""

    def __init__(self) -> None:
        self._socket = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, NETLINK_SOCK_DIAG)
        self._socket.settimeout(5.0)
        self._sequence = 0

    def __enter__(self) -> SockDiag:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        self._socket.close()

    def dump(self, protocol: int, family: int) -> Iterator[bytes]:
        """All sockets of one protocol and family, as raw messages for ``parse`` and ``changing``.

        Consume all of them before the next request. Raises OSError.
        """
        self._sequence += 1
        request = REQUEST.pack(family, protocol, 0, ALL_STATES)
        header = HEADER.pack(
            HEADER.size + len(request), SOCK_DIAG_BY_FAMILY, DUMP, self._sequence & 0xFFFFFFFF, 0
        )
        self._socket.send(header + request)
        while True:
            data = self._socket.recv(1 << 17)
            start = 0
            while start + HEADER.size <= len(data):
                length, kind, _, _, _ = HEADER.unpack_from(data, start)
                if kind == DONE:
                    return
                if kind == ERROR:
                    (number,) = struct.unpack_from("=i", data, start + HEADER.size)
                    raise OSError(-number, "sock_diag")
                yield data[start + HEADER.size : start + length]
                start += (length + 3) & ~3


def changing(raw: bytes) -> bytes:
    """The part of a raw message that differs if the socket changed: its state and queues, not its timers."""
    return raw[1:2] + raw[56:64] + raw[68:72]


def identity(protocol: int, raw: bytes) -> tuple[int, bytes, bytes, bytes]:
    """A key that stays the same for a socket's life: its addresses.

    The cookie changes in TIME_WAIT, and the family when a dual-stack server accepts a connection. Only
    sockets without a peer are identified by their cookie, because several may share an address.
    """
    remote = _plain(raw[0], raw[24:40])
    unconnected = raw[6:8] == bytes(2) and not any(remote)
    return protocol, raw[4:8], _plain(raw[0], raw[8:24]), raw[44:52] if unconnected else remote


def parse(protocol: int, raw: bytes) -> Sample:
    """Parses one raw message."""
    family, state, _, _, sport, dport, source, destination, _, cookie, _, receive, send, _, inode = (
        SOCKET.unpack_from(raw)
    )
    if STATES.get(state) in AFTER_FIN and protocol == TCP:
        receive = max(0, receive - 1)  # the kernel counts the FIN until the program has read EOF
    return Sample(
        protocol,
        family,
        state,
        (_address(family, source), int.from_bytes(sport)),
        (_address(family, destination), int.from_bytes(dport)),
        receive,
        send,
        inode,
        cookie,
    )


def _address(family: int, raw: bytes) -> str:
    plain = _plain(family, raw)
    return socket.inet_ntop(socket.AF_INET if len(plain) == 4 else socket.AF_INET6, plain)


def _plain(family: int, raw: bytes) -> bytes:
    """The address as 4 or 16 bytes; IPv4-mapped addresses as IPv4."""
    if family == socket.AF_INET:
        return raw[:4]
    return raw[12:16] if raw.startswith(MAPPED) else raw
