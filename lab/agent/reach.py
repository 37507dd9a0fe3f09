"""Tries to reach a server from this host: `reach tcp|udp ADDRESS PORT SECONDS`, until it succeeds.

Prints a JSON object: the ``outcome``, one of OUTCOMES, the text of the last ``error``, and the number of
``attempts``. A TCP server is reached when a connection is established, a UDP server when it has answered.
"""

from __future__ import annotations

import json
import socket
import sys
import time
from collections.abc import Callable

from lab.sockets import blocking
from lab.sockets.datagram import Datagrams
from lab.sockets.deadline import Deadline

OUTCOMES = ("reached", "refused", "reset", "unreachable", "timed out", "unresolved")
INTERVAL = 0.1  # seconds between attempts that failed at once
UDP_INTERVAL = 0.5  # seconds to wait for an answer before the datagram is sent again
LINGER = 0.2  # seconds for the server to close too
PAYLOAD = b"lab reach\n"


def main() -> int:
    protocol, address, port, seconds = sys.argv[1:]
    attempt = {"tcp": connect, "udp": exchange}[protocol]
    print(json.dumps(reach(attempt, address, int(port), float(seconds))))
    return 0


def reach(attempt: Callable[[str, int, float], None], address: str, port: int, seconds: float) -> object:
    """Repeats ``attempt`` until it succeeds or the time is over."""
    until = time.monotonic() + seconds
    outcome, error, attempts = "timed out", "", 0
    while (left := until - time.monotonic()) > 0 or not attempts:
        attempts += 1
        try:
            attempt(address, port, max(left, 0.001))
            outcome, error = "reached", ""
            break
        except OSError as problem:
            # The last attempt may have had too little time, so the previous one's error is more useful.
            if attempts == 1 or not isinstance(problem, TimeoutError):
                outcome, error = outcome_of(problem), str(problem)
        time.sleep(min(INTERVAL, max(0.0, until - time.monotonic())))
    return {"outcome": outcome, "error": error, "attempts": attempts}


def connect(address: str, port: int, seconds: float) -> None:
    blocking.connect(address, port, seconds).close(LINGER)


def exchange(address: str, port: int, seconds: float) -> None:
    """Sends a datagram and waits for an answer."""
    datagrams = Datagrams(address, port, connected=True)
    try:
        datagrams.send(PAYLOAD)
        datagrams.recv(Deadline(min(seconds, UDP_INTERVAL)))
    finally:
        datagrams.close()


def outcome_of(error: OSError) -> str:
    """One of OUTCOMES for the error of an attempt."""
    kinds: dict[type[OSError], str] = {
        ConnectionRefusedError: "refused",
        ConnectionResetError: "reset",
        TimeoutError: "timed out",
        socket.gaierror: "unresolved",
    }
    return next((name for kind, name in kinds.items() if isinstance(error, kind)), "unreachable")


if __name__ == "__main__":
    sys.exit(main())
