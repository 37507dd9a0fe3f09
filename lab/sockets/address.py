"""Socket addresses as text, and errors that name the address they are about."""

from __future__ import annotations

import contextlib
import errno
import os
import socket
from collections.abc import Iterator
from typing import TypeAlias

Address: TypeAlias = tuple[str, int] | tuple[str, int, int, int]


def plain_host(address: Address) -> str:
    """The host of ``address``. The IPv4 peer of a dual-stack socket is written as IPv4."""
    host = address[0]
    return host.removeprefix("::ffff:") if "." in host else host


def format_address(address: Address) -> str:
    """``host:port``, with an IPv6 host in brackets."""
    host = plain_host(address)
    return f"[{host}]:{address[1]}" if ":" in host else f"{host}:{address[1]}"


def format_endpoint(address: Address) -> str:
    """As format_address, with "*" for any host and for any port (as in ss(8))."""
    host, _, port = format_address(address).rpartition(":")
    return f"{'*' if host in ('0.0.0.0', '[::]') else host}:{'*' if port == '0' else port}"


@contextlib.contextmanager
def errors_name_address(host: str, port: int) -> Iterator[None]:
    """Puts the address into the ``filename`` of an OSError that is raised inside this context."""
    address = format_address((host or "*", port))
    try:
        yield
    except UnicodeError:  # Python's error for a label that is empty or longer than 63 characters
        raise socket.gaierror(socket.EAI_NONAME, "not a host name", address) from None
    except socket.gaierror as error:
        raise socket.gaierror(error.errno, error.strerror, address) from None
    except OSError as error:
        number = error.errno or errno.ETIMEDOUT  # Python's own TimeoutError has no number
        raise OSError(number, os.strerror(number), address) from None
