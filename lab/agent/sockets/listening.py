"""The op ``listening``: the sockets of this node on which programs wait for peers, from proc(5)."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

from lab.agent.clock import read
from lab.agent.lines import JsonObject

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lab.agent.agent import Agent

LISTEN, UNCONNECTED = "0A", "07"  # states of a TCP socket, and of a UDP socket
DEFAULT_EPHEMERAL = 32768


def listening(agent: Agent, request: JsonObject) -> JsonObject:
    """The inodes of the listening TCP sockets, and of the unconnected UDP sockets with a chosen port."""
    tcp = {inode for _, _, inode in sockets("tcp", LISTEN)}
    own_ports = first_ephemeral_port()
    udp = {inode for _, port, inode in sockets("udp", UNCONNECTED) if port < own_ports}
    return {"inodes": sorted(tcp | udp)}


def sockets(protocol: str, wanted: str) -> Iterator[tuple[str, int, int]]:
    """The local address (in hexadecimal), the local port and the inode of the sockets in a state."""
    for table in (f"/proc/net/{protocol}", f"/proc/net/{protocol}6"):
        with suppress(FileNotFoundError):  # no IPv6
            for line in read(table).decode().splitlines()[1:]:
                words = line.split()
                address, _, port = words[1].partition(":")
                if words[3] == wanted:
                    yield address, int(port, 16), int(words[9])


def first_ephemeral_port() -> int:
    """The first of the ports that the kernel gives to clients; see ip_local_port_range in ip(7)."""
    with suppress(OSError, ValueError, IndexError):
        return int(read("/proc/sys/net/ipv4/ip_local_port_range").split()[0])
    return DEFAULT_EPHEMERAL
