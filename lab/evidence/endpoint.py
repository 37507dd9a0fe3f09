"""One end of a connection or a datagram: an address and a port."""

from __future__ import annotations

import functools
import ipaddress
from typing import NamedTuple

ANY = "*"


class Endpoint(NamedTuple):
    """An IP address and a TCP or UDP port. Address "*" is any address, port 0 any port (or none)."""

    address: str
    port: int

    def __str__(self) -> str:
        """ "192.0.2.1:80", "[2001:db8::1]:80"; "*" for any."""
        address = f"[{self.address}]" if ":" in self.address else self.address
        return f"{address}:{self.port or ANY}"

    @classmethod
    def parse(cls, text: str) -> Endpoint:
        """The reverse of ``str()``. Raises ValueError for any other text."""
        return _parse(text)

    @property
    def family(self) -> int:
        """4 or 6, by the form of the address; 0 for any address."""
        return 0 if self.address == ANY else 6 if ":" in self.address else 4

    @property
    def is_loopback(self) -> bool:
        return self.address != ANY and ipaddress.ip_address(self.address).is_loopback


@functools.lru_cache(maxsize=1 << 14)  # a run has the same ends in thousands of events
def _parse(text: str) -> Endpoint:
    host, colon, port = text.rpartition(":")
    bare = host[1:-1] if host.startswith("[") and host.endswith("]") else host
    number = 0 if port == ANY else int(port) if port.isascii() and port.isdigit() else -1
    found = Endpoint(bare, number)
    if not colon or not 0 <= number < 1 << 16 or not _is_address(bare) or str(found) != text:
        raise ValueError(f"not an endpoint: {text!r}")
    return found


def _is_address(text: str) -> bool:
    try:
        return text == ANY or bool(ipaddress.ip_address(text))
    except ValueError:
        return False
