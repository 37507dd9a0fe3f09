"""A ping by hand, in two ways: an ICMP echo request and its reply.

`raw`    through a raw socket, which is standard input: only root may open one (sudo /usr/lib/socketlab/raw)
`dgram`  through a ping socket, which needs no privilege if net.ipv4.ping_group_range includes the group
"""

import os
import socket
import struct
import sys

HEADER = struct.Struct("!BBHHH")  # type, code, checksum, identifier, sequence number
ECHO_REPLY, ECHO_REQUEST = 0, 8
IDENTIFIER = os.getpid() & 0xFFFF
PAYLOAD = b"a ping by hand"


def raw():
    pinger = socket.socket(fileno=sys.stdin.fileno())
    unsummed = HEADER.pack(ECHO_REQUEST, 0, 0, IDENTIFIER, 1) + PAYLOAD
    request = HEADER.pack(ECHO_REQUEST, 0, checksum(unsummed), IDENTIFIER, 1) + PAYLOAD
    pinger.sendto(request, ("server", 0))
    while True:  # a raw socket receives all ICMP packets sent to this host
        packet, (sender, _) = pinger.recvfrom(1024)
        icmp = packet[(packet[0] & 15) * 4 :]  # after the IP header, which holds its own length
        kind, _, _, identifier, _ = HEADER.unpack_from(icmp)
        if (kind, identifier) == (ECHO_REPLY, IDENTIFIER):
            break
    print("SOCK_RAW: reply from", sender, "with", icmp[8:], "and TTL", packet[8], "in its IP header")


def dgram():
    pinger = socket.socket(socket.AF_INET, socket.SOCK_DGRAM, socket.IPPROTO_ICMP)
    request = HEADER.pack(ECHO_REQUEST, 0, 0, 0, 1) + PAYLOAD  # the kernel sets identifier and checksum
    pinger.sendto(request, ("server", 0))
    icmp, (sender, _) = pinger.recvfrom(1024)  # replies to this socket only, without the IP header
    print("IPPROTO_ICMP: reply from", sender, "with", icmp[8:])


def checksum(data):
    """The Internet checksum (RFC 1071) of an even number of bytes."""
    total = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total > 0xFFFF:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


{"raw": raw, "dgram": dgram}[sys.argv[1]]()
