"""Destroys sockets of this host: SOCK_DESTROY of sock_diag(7).

Linux with CONFIG_INET_DIAG_DESTROY, CAP_NET_ADMIN.
"""

from __future__ import annotations

import errno
import socket
import struct

from lab.sockets.netlink.messages import Netlink

SOCK_DIAG = 4
SOCK_DESTROY = 21

_request = struct.Struct("=BBBxI48s")  # inet_diag_req_v2: family, protocol, extensions, states, socket id


class Destroyer(Netlink):
    """Destroys sockets, which a dump of sock_diag has found."""

    def __init__(self) -> None:
        super().__init__(SOCK_DIAG)

    def destroy(self, protocol: int, raw: bytes) -> bool:
        """Destroys the socket of one raw message of a dump. A peer gets a RST, if the state has one.

        Returns False if the kernel can't do that. A socket that is gone counts as destroyed.
        """
        family, identity = raw[0], raw[4:52]
        try:
            self.request(SOCK_DESTROY, _request.pack(family, protocol, 0, 0xFFFFFFFF, identity))
        except OSError as error:
            if error.errno in (errno.EOPNOTSUPP, errno.EPERM, errno.EINVAL):
                return False
            if error.errno != errno.ENOENT:
                raise
        return True


PROTOCOLS = (socket.IPPROTO_TCP, socket.IPPROTO_UDP, 136, socket.IPPROTO_RAW)  # 136: UDP-Lite
