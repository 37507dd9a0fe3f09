"""The kernel's memory of earlier TCP connections: round-trip times, windows, Fast Open cookies (tcp_metrics).

See ip-tcp_metrics(8). Linux, CAP_NET_ADMIN to forget them.
"""

from __future__ import annotations

import struct

from lab.sockets.netlink.messages import Netlink, attributes, packed

GENERIC = 16
CONTROL = 16  # the family of the families
_header = struct.Struct("=BBxx")  # genlmsghdr: command, version
GET_FAMILY, FAMILY_NAME, FAMILY_ID = 3, 2, 1
GET, DELETE = 1, 2
VERSION = 1


class TcpMetrics(Netlink):
    """Requests to tcp_metrics. Raises OSError if the kernel has none."""

    def __init__(self) -> None:
        super().__init__(GENERIC)
        body = _header.pack(GET_FAMILY, 1) + packed(FAMILY_NAME, b"tcp_metrics\0")
        found = dict(attributes(self.ask(CONTROL, body)[_header.size :]))
        self._family = int.from_bytes(found[FAMILY_ID], "little")

    def count(self) -> int:
        return len(self.dump(self._family, _header.pack(GET, VERSION)))

    def forget(self) -> None:
        """Removes all of them."""
        self.request(self._family, _header.pack(DELETE, VERSION))
