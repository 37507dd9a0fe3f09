"""Measures a link together with its twin on the other host: sends numbered datagrams, notes what arrives."""

from __future__ import annotations

import json
import select
import sys
import time
from typing import Any

from lab.link.impairment_model import PROBE_PORT
from lab.link.verification import OVERHEAD, PROBE_SIZE, TRAIN_SIZE, build_probe, read_probe
from lab.programs.console import FAILED, OK, Console, Failure, Parser, main, port_number
from lab.sockets.prober import ProbeSocket

LIFETIME = 60.0  # seconds after which it ends though nobody has told it to

EPILOG = f"""\
It says where it listens, then waits for its plan, one line of JSON on stdin:
  {{"count": 2000, "interval": 0.0005, "train": 0}}
"train" more datagrams of {TRAIN_SIZE} bytes follow back to back. After the line "stop" it tells what arrived.
One-way delays need hosts with the same clock, as containers of one machine have.
The lab itself runs it: `lab link verify`.

Example:  python3 -m lab.agent.probe server
Exit codes: 0 done · 1 stdin ended, or nobody said stop · 2 usage · 3 the port is taken
"""


class Probe:
    """One side: what it has sent, and what has come."""

    def __init__(self, sock: ProbeSocket) -> None:
        self._socket = sock
        self.arrivals: list[tuple[int, int]] = []  # (number, microseconds on the way)
        self.corrupted: set[bytes] = set()
        self.train: list[tuple[int, int]] = []  # (came at in ns, bytes of the Ethernet frame)
        self.offered = 0.0

    def send(self, plan: dict[str, Any]) -> None:
        """Sends all of the plan, and receives meanwhile."""
        count, interval, train = int(plan["count"]), float(plan["interval"]), int(plan["train"])
        begin = time.monotonic()
        for number in range(count):
            self.receive(begin + number * interval)
            self._push(number, PROBE_SIZE)
        began = time.monotonic()
        for number in range(count, count + train):
            self._push(number, TRAIN_SIZE)
            if number % 16 == 0:
                self._drain()
        if train:
            self.offered = train * (TRAIN_SIZE + OVERHEAD) * 8 / (time.monotonic() - began)

    def receive(self, until: float) -> None:
        """Takes what comes until that moment of the monotonic clock."""
        while True:
            self._drain()
            left = until - time.monotonic()
            if left <= 0 or not select.select([self._socket], [], [], left)[0]:
                return

    def result(self) -> dict[str, Any]:
        self._drain()
        seconds = (max(at for at, _ in self.train) - self.train[0][0]) / 1e9 if self.train else 0.0
        return {
            "arrivals": self.arrivals,
            "corrupted": len(self.corrupted),
            "train_bytes": sum(size for _, size in self.train[1:]),
            "train_seconds": seconds,
        }

    def _push(self, number: int, size: int) -> None:
        while not self._socket.send(build_probe(number, time.time_ns(), size)):
            select.select([], [self._socket], [], 1.0)

    def _drain(self) -> None:
        while (came := self._socket.receive()) is not None:
            data, at = came
            if len(data) > PROBE_SIZE:
                self.train.append((at, len(data) + OVERHEAD))
            elif (probe := read_probe(data)) is None:
                self.corrupted.add(data)
            else:
                self.arrivals.append((probe[0], (at - probe[1]) // 1000))


def program() -> int:
    parser = Parser(prog="probe", description=__doc__, epilog=EPILOG)
    parser.add_argument("peer", help="the other host")
    parser.add_argument("--port", type=port_number, default=PROBE_PORT, help="on both (default %(default)s)")
    options = parser.parse_args()
    console = Console(as_json=True)
    sock = ProbeSocket(options.port, options.peer)
    try:
        console.say("listening", "", host=sock.address[0], port=sock.address[1])
        probe = Probe(sock)
        plan = _read_line()
        try:
            probe.send(json.loads(plan))
        except (ValueError, TypeError, KeyError) as error:
            raise Failure(f"no plan: {error}") from None
        console.say("sent", "", offered=probe.offered)
        stopped = _receive_until_told(probe, sock)
        console.say("arrived", "", **probe.result())
        return OK if stopped else FAILED
    finally:
        sock.close()


def _receive_until_told(probe: Probe, sock: ProbeSocket) -> bool:
    """Returns False where nobody says stop."""
    deadline = time.monotonic() + LIFETIME
    while (left := deadline - time.monotonic()) > 0:
        ready = select.select([sock, sys.stdin], [], [], left)[0]
        probe.receive(0.0)
        if sys.stdin in ready:
            return _read_line() == "stop"
    return False


def _read_line() -> str:
    return sys.stdin.readline(4096).strip()


if __name__ == "__main__":
    main("probe", program)
