"""Measures a link, together with the same program on another host, by sending numbered datagrams."""

from __future__ import annotations

import json
import select
import sys
import time
from typing import Any

from lab.link.impairment_model import PROBE_PORT
from lab.link.probe_format import LATE, OVERHEAD, PROBE_SIZE, TRAIN_SIZE, build_probe, read_probe
from lab.programs.console import FAILED, OK, Console, Failure, Parser, main, port_number
from lab.sockets.prober import ProbeSocket

OPENER = b"open"  # makes a router on the way that translates addresses admit the peer's packets
OPENER_INTERVAL = 0.05  # seconds

LIFETIME = 60.0  # seconds after which it exits even without "stop"

EPILOG = f"""\
It announces its address. With --open it then sends datagrams until the peer has answered, which it announces;
this is necessary if only answers can reach this host. It reads a plan, one line of JSON on stdin:
  {{"count": 2000, "interval": 0.0005, "train": 0}}
Then "train" more datagrams of {TRAIN_SIZE} bytes follow back to back.
After the line "stop" it reports what has arrived.
One-way delays are correct only if both hosts have the same clock, like containers on one machine.
`lab link verify` runs it.

Example:  python3 -P -m lab.agent.link.probe server
Exit codes: 0 done · 1 stdin ended, or no "stop" in time · 2 usage · 3 the port is taken
"""


class Probe:
    """The packets that one host has sent and received."""

    def __init__(self, sock: ProbeSocket) -> None:
        self._socket = sock
        self.arrivals: list[tuple[int, int]] = []  # (number, microseconds in transit)
        self.corrupted: set[bytes] = set()
        self.train: list[tuple[int, int]] = []  # (arrival in ns, bytes of the Ethernet frame)
        self.offered = 0.0  # bit/s
        self.opened = False  # the peer's OPENER has arrived
        self.late = 0  # probes that were sent late, because this process wasn't scheduled in time

    def send(self, plan: dict[str, Any]) -> None:
        """Sends the planned probes, and receives at the same time."""
        count, interval, train = int(plan["count"]), float(plan["interval"]), int(plan["train"])
        due = time.monotonic()
        for number in range(count):
            self.receive(due)
            now = time.monotonic()
            self.late += now - due > LATE
            self._push(number, PROBE_SIZE)
            due = max(due, now - interval) + interval  # no burst after a pause: it would fill a slow line
        began = time.monotonic()
        for number in range(count, count + train):
            self._push(number, TRAIN_SIZE)
            if number % 16 == 0:
                self._drain()
        if train:
            self.offered = train * (TRAIN_SIZE + OVERHEAD) * 8 / (time.monotonic() - began)

    def open(self) -> None:
        """Sends one OPENER."""
        self._socket.send(OPENER)

    def receive(self, until: float) -> None:
        """Receives until that time of the monotonic clock."""
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
            "overflowed": self._socket.overflowed,
            "train_bytes": sum(size for _, size in self.train[1:]),
            "train_seconds": seconds,
        }

    def _push(self, number: int, size: int) -> None:
        while not self._socket.send(build_probe(number, time.time_ns(), size)):
            select.select([], [self._socket], [], 1.0)

    def _drain(self) -> None:
        while (datagram := self._socket.receive()) is not None:
            data, at = datagram
            if data == OPENER:
                self.opened = True
            elif len(data) > PROBE_SIZE:
                self.train.append((at, len(data) + OVERHEAD))
            elif (probe := read_probe(data)) is None:
                self.corrupted.add(data)
            else:
                self.arrivals.append((probe[0], (at - probe[1]) // 1000))


def program() -> int:
    parser = Parser(prog="probe", description=__doc__, epilog=EPILOG)
    parser.add_argument("peer", help="the other host")
    parser.add_argument("--open", action="store_true", help="send until the peer answers, then read the plan")
    parser.add_argument("--port", type=port_number, default=PROBE_PORT, help="on both (default %(default)s)")
    options = parser.parse_args()
    console = Console(as_json=True)
    sock = ProbeSocket(options.port, options.peer)
    try:
        console.say("listening", "", host=sock.address[0], port=sock.address[1])
        probe = Probe(sock)
        plan = _wait_for_plan(probe, sock, console, opens=options.open)
        try:
            probe.send(json.loads(plan))
        except (ValueError, TypeError, KeyError) as error:
            raise Failure(f"invalid plan: {error}") from None
        console.say("sent", "", offered=probe.offered, late=probe.late)
        stopped = _receive_until_stop(probe, sock)
        console.say("arrived", "", **probe.result())
        return OK if stopped else FAILED
    finally:
        sock.close()


def _wait_for_plan(probe: Probe, sock: ProbeSocket, console: Console, *, opens: bool) -> str:
    """Reads the plan. Until then it reports the peer's first OPENER.

    With ``opens`` it sends OPENER until one arrives; without, it answers each.
    """
    reported = False
    while True:
        if opens and not probe.opened:
            probe.open()
        ready = select.select([sock, sys.stdin], [], [], OPENER_INTERVAL)[0]
        probe.receive(0.0)
        if probe.opened and not reported:
            console.say("opened", "")
            reported = True
        if probe.opened and not opens and sock in ready:
            probe.open()
        if sys.stdin in ready:
            return _read_line()


def _receive_until_stop(probe: Probe, sock: ProbeSocket) -> bool:
    """Receives until the line "stop". Returns False if it doesn't arrive in time."""
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
