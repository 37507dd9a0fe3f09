"""NFQUEUE: the kernel holds packets until a program has decided on them. Linux, CAP_NET_ADMIN.

An iptables rule ``-j NFQUEUE --queue-num N`` puts packets into queue N; a ``Queue`` receives them over
AF_NETLINK (linux/netfilter/nfnetlink_queue.h). The kernel drops the packets of a queue without a consumer.
So if the consumer dies, the link is cut; it doesn't become a perfect link.
"""

from __future__ import annotations

import errno
import os
import socket
import struct
from collections.abc import Iterable
from pathlib import Path
from typing import TypeAlias

Packet: TypeAlias = tuple[int, bytes]  # its id in the queue, and the message that has its bytes

MAX_HELD = 32_768  # packets in the kernel at once; more are dropped, as in a router whose buffer is full
RECEIVE_BUFFER = 32 << 20  # bytes of messages that we haven't read yet; beyond that the kernel drops packets
MESSAGE_OVERHEAD = 2048  # bytes of a message in addition to those of the packet
WHOLE = 0xFFFF  # copies all bytes of a packet

_NETLINK_NETFILTER = 12
_SO_RCVBUFFORCE = 33  # not in Python's socket module

_SUBSYSTEM = 3 << 8  # NFNL_SUBSYS_QUEUE
_VERDICT, _CONFIG, _VERDICT_BATCH = _SUBSYSTEM | 1, _SUBSYSTEM | 2, _SUBSYSTEM | 3
_NLMSG_ERROR = 2
_REQUEST, _ACK = 1, 4
_CFG_CMD, _CFG_PARAMS, _CFG_MAXLEN, _CFG_MASK, _CFG_FLAGS = 1, 2, 3, 4, 5
_BIND = 1
_COPY_META, _COPY_PACKET = 1, 2
_GSO = 4  # NFQA_CFG_F_GSO. NFQA_CFG_F_FAIL_OPEN (1) stays off: with it packets pass if we are slow
_PACKET_HEADER, _VERDICT_HEADER, _PAYLOAD = 1, 2, 10
_DROP, _ACCEPT = 0, 1

_message = struct.Struct("=IHHIIBBH")  # nlmsghdr, then nfgenmsg with its queue number in network order
_attribute = struct.Struct("=HH")
_verdict = struct.Struct(">II")
_id = struct.Struct(">I")
_ID_AT = _message.size + _attribute.size  # the packet header is the first attribute of each message


class Queue:
    """One queue. ``fileno`` is readable when packets have arrived; each one waits for its verdict."""

    def __init__(self, number: int, *, copied: int = 0, whole_bursts: bool = False) -> None:
        """Opens queue ``number`` and receives ``copied`` bytes of each packet, from its IP header on.

        With ``whole_bursts`` a TCP burst that the sender's kernel left in one piece (GSO, up to 64 KiB)
        counts as one packet. That is fast, but wrong if each packet needs its own decision.
        Raises PermissionError without CAP_NET_ADMIN, or if the queue has another consumer.
        """
        self.number = number
        self._size = copied + MESSAGE_OVERHEAD
        self._prefix = struct.pack("=BBH", 0, 0, socket.htons(number))
        self._socket = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, _NETLINK_NETFILTER)
        try:
            self._socket.setsockopt(socket.SOL_SOCKET, _SO_RCVBUFFORCE, RECEIVE_BUFFER)
            self._socket.bind((0, 0))
            self._configure(copied, whole_bursts)
        except BaseException:
            self._socket.close()
            raise
        self._socket.setblocking(False)

    def fileno(self) -> int:
        return self._socket.fileno()

    def close(self) -> None:
        """Closes the queue. The kernel drops the packets that still wait for a verdict."""
        self._socket.close()

    def receive(self, limit: int) -> list[Packet]:
        """Receives at most ``limit`` packets; [] if there are none."""
        receive, size, id_at = self._socket.recv, self._size, _id.unpack_from
        packets = []
        try:
            for _ in range(limit):
                message = receive(size)
                packets.append((id_at(message, _ID_AT)[0], message))
        except BlockingIOError:
            pass
        except OSError as error:
            if error.errno != errno.ENOBUFS:  # the kernel dropped some; ``overflowed`` counts them
                raise
        return packets

    def accept(self, ids: Iterable[int]) -> None:
        """Lets these packets continue."""
        self._decide(ids, _ACCEPT)

    def drop(self, ids: Iterable[int]) -> None:
        """Drops these packets."""
        self._decide(ids, _DROP)

    def accept_up_to(self, last: int) -> None:
        """Accepts all waiting packets with an id up to ``last``, in one message."""
        body = _attribute.pack(12, _VERDICT_HEADER) + _verdict.pack(_ACCEPT, last)
        self._send(self._build(_VERDICT_BATCH, body))

    def replace(self, number: int, packet: bytes) -> None:
        """Accepts packet ``number`` with other bytes."""
        verdict = _attribute.pack(12, _VERDICT_HEADER) + _verdict.pack(_ACCEPT, number)
        self._send(self._build(_VERDICT, verdict + _packed(_PAYLOAD, packet)))

    def _decide(self, ids: Iterable[int], verdict: int) -> None:
        """Sends one message for each packet, many messages in one write."""
        start = _message.pack(32, _VERDICT, _REQUEST, 0, 0, 0, 0, socket.htons(self.number))
        start += _attribute.pack(12, _VERDICT_HEADER)
        messages = [start + _verdict.pack(verdict, number) for number in ids]
        for first in range(0, len(messages), 500):
            self._send(b"".join(messages[first : first + 500]))

    def _send(self, data: bytes) -> None:
        # The kernel handles it before send() returns, so there is nothing to wait for.
        self._socket.send(data)

    def _configure(self, copied: int, whole_bursts: bool) -> None:
        self._ask(_packed(_CFG_CMD, struct.pack(">BxH", _BIND, 0)))
        mode = struct.pack(">IB", copied, _COPY_PACKET if copied else _COPY_META)
        self._ask(_packed(_CFG_PARAMS, mode) + _packed(_CFG_MAXLEN, _id.pack(MAX_HELD)))
        if whole_bursts:
            self._ask(_packed(_CFG_FLAGS, _id.pack(_GSO)) + _packed(_CFG_MASK, _id.pack(_GSO)))

    def _ask(self, body: bytes) -> None:
        """Sends a configuration message and waits for the kernel's answer."""
        self._send(self._build(_CONFIG, body, _REQUEST | _ACK))
        while True:
            answer = self._socket.recv(1 << 16)
            kind, _, _, _, number = struct.unpack_from("=HHIIi", answer, 4)
            if kind == _NLMSG_ERROR:
                if number:
                    raise OSError(-number, os.strerror(-number), f"queue {self.number}")
                return

    def _build(self, kind: int, body: bytes, flags: int = _REQUEST) -> bytes:
        size = _message.size + len(body)
        return _message.pack(size, kind, flags, 0, 0, 0, 0, socket.htons(self.number)) + body


def payload(message: bytes) -> bytes:
    """The packet's bytes in a message, from its IP header on; b"" if none were copied."""
    at = _message.size
    while at < len(message):
        size, kind = _attribute.unpack_from(message, at)
        if kind == _PAYLOAD:
            return message[at + 4 : at + size]
        at += (size + 3) & ~3
    return b""


def overflowed(number: int, table: Path = Path("/proc/net/netfilter/nfnetlink_queue")) -> int:
    """The number of packets that queue ``number`` lost because it was full or the consumer was too slow."""
    for line in table.read_text().splitlines():
        fields = [int(field) for field in line.split()]
        if fields[0] == number:
            return fields[5] + fields[6]
    return 0


def _packed(kind: int, value: bytes) -> bytes:
    return _attribute.pack(4 + len(value), kind) + value + bytes(-len(value) % 4)


class Injector:
    """Sends complete IP packets from the router itself. The routing table applies, but no queue.

    The rules that queue packets are in FORWARD, which the router's own packets don't pass. Their mark
    distinguishes them in ``nft`` and in tcpdump on nflog.
    """

    MARK = 0x50C7

    def __init__(self, priority: int = 0) -> None:
        """``priority`` may name the class of a qdisc. Raises PermissionError without CAP_NET_RAW and
        CAP_NET_ADMIN.
        """
        self._sockets: list[socket.socket] = []
        try:
            for family, level, option in _HEADER_INCLUDED:
                sock = socket.socket(family, socket.SOCK_RAW, socket.IPPROTO_RAW)
                self._sockets.append(sock)
                sock.setsockopt(level, option, 1)
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_MARK, self.MARK)
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_PRIORITY, priority)
                sock.setblocking(False)
        except BaseException:
            self.close()
            raise

    def send(self, packet: bytes) -> None:
        """Sends one packet. Raises OSError if it can't be sent."""
        if packet[0] >> 4 == 4:
            self._sockets[0].sendto(packet, (socket.inet_ntop(socket.AF_INET, packet[16:20]), 0))
        else:
            self._sockets[1].sendto(packet, (socket.inet_ntop(socket.AF_INET6, packet[24:40]), 0))

    def close(self) -> None:
        for sock in self._sockets:
            sock.close()


_HEADER_INCLUDED = (
    (socket.AF_INET, socket.IPPROTO_IP, socket.IP_HDRINCL),
    (socket.AF_INET6, socket.IPPROTO_IPV6, 36),  # IPV6_HDRINCL
)
