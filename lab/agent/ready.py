"""Waits until a program on this host is ready: `ready [--timeout S] tcp PORT | http PORT PATH`.

It checks every listening address, IPv4 or IPv6, so a program that listens on one address only is found too.
Exits with 0 when it is ready, and with 1 after the timeout; then the last line says why it isn't.
"""

from __future__ import annotations

import argparse
import http.client
import ipaddress
import struct
import sys
import time

from lab.agent.sockets.listening import LISTEN, sockets

INTERVAL = 0.03
HTTP_TIMEOUT = 2.0  # seconds for one answer


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--timeout", type=float, default=0.0)
    parser.add_argument("kind", choices=("tcp", "http"))
    parser.add_argument("port", type=int)
    parser.add_argument("path", nargs="?", default="/")
    options = parser.parse_args()
    until = time.monotonic() + options.timeout
    while reason := why_not(options.kind, options.port, options.path):
        if time.monotonic() >= until:
            print(reason)
            return 1
        time.sleep(INTERVAL)
    return 0


def why_not(kind: str, port: int, path: str) -> str:
    """Why the program isn't ready; "" if it is."""
    addresses = sorted(listening(port))
    if not addresses:
        return f"nothing listens on tcp port {port}"
    return "" if kind == "tcp" else http_error(addresses[0], port, path)


def listening(port: int) -> set[str]:
    """The addresses on which a socket listens on this port."""
    return {decoded(address) for address, number, _ in sockets("tcp", LISTEN) if number == port}


def decoded(address: str) -> str:
    """An address in proc(5): 32-bit words in the byte order of this machine."""
    words = [int(address[start : start + 8], 16) for start in range(0, len(address), 8)]
    return str(ipaddress.ip_address(b"".join(struct.pack("=I", word) for word in words)))


def http_error(address: str, port: int, path: str) -> str:
    """Why a GET isn't answered with 2xx or 3xx; "" if it is."""
    target = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(address, address)
    connection = http.client.HTTPConnection(target, port, timeout=HTTP_TIMEOUT)
    try:
        connection.request("GET", path, headers={"Host": "localhost"})
        status = connection.getresponse().status
        return "" if 200 <= status < 400 else f"GET {path} is answered with {status}"
    except (OSError, http.client.HTTPException) as error:
        return f"GET {path}: {error or type(error).__name__}"
    finally:
        connection.close()


if __name__ == "__main__":
    sys.exit(main())
