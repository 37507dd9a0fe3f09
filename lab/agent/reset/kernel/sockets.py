"""Destroys the sockets that no process owns any more, and proves that none is left. Runs as root."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import suppress

from lab.agent.reset.findings import Finding, finding
from lab.sockets.netlink.destroy import PROTOCOLS, Destroyer
from lab.sockets.netlink.sockdiag import STATES, Sample, SockDiag, parse

SSH = 22
ROUNDS = 3
RESOLVER = "127.0.0.11"  # of Docker: its sockets are in each container
NAMES = {socket.IPPROTO_TCP: "TCP", socket.IPPROTO_UDP: "UDP", 136: "UDP-Lite", socket.IPPROTO_RAW: "raw"}


def reset(*, shared: bool) -> list[Finding]:
    """Destroys all sockets but those of sshd, of SSH connections that are in use, and of Docker's resolver.

    Call it when only spared processes are left: then an SSH connection that a process still owns is one of
    the controller. ``shared``: another container is in this network namespace; the sockets that its processes
    own are left to it.
    """
    found: list[str] = []
    left: list[str] = []
    with Destroyer() as kernel:
        for _ in range(ROUNDS):
            left = []
            for sample, raw in list(_all()):
                if _is_legitimate(sample, shared):
                    continue
                done = kernel.destroy(sample.protocol, raw)
                found += [_name(sample)] * (done and not _is_health_check(sample))
                left.append(_name(sample))
            if not left:
                break
    return [*finding("socket", dict.fromkeys(found)), *finding("socket", left, undone=False)]


def _all() -> Iterator[tuple[Sample, bytes]]:
    with SockDiag() as kernel:
        for protocol in PROTOCOLS:
            for family in (socket.AF_INET, socket.AF_INET6):
                with suppress(OSError):  # the kernel lacks the protocol
                    for raw in kernel.dump(protocol, family):
                        yield parse(protocol, raw), raw


def _is_legitimate(sample: Sample, shared: bool) -> bool:
    if not sample.inode:
        return False  # no process owns it: a connection that is closing, TIME_WAIT, or a handshake
    return shared or sample.local[0] == RESOLVER or SSH in (sample.local[1], sample.remote[1])


def _is_health_check(sample: Sample) -> bool:
    """A connection of the node with its own SSH server: a health check or a login has left it behind."""
    return SSH in (sample.local[1], sample.remote[1]) and sample.local[0] == sample.remote[0]


def _name(sample: Sample) -> str:
    state = STATES.get(sample.state, "") if sample.protocol == socket.IPPROTO_TCP else ""
    words = (
        NAMES[sample.protocol],
        _address(sample.local),
        _address(sample.remote) if sample.remote[1] else "",
        state,
    )
    return " ".join(filter(None, words))


def _address(each: tuple[str, int]) -> str:
    host, port = each
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
