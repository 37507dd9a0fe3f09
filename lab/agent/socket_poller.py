"""Polls this host's sockets and counters, and prints each change as a JSON object on one line.

It exits at end of file on standard input. It answers an empty line on standard input with this host's clock
and with the number of packets queued in the kernel. Then it polls at once, so when a second line has been
answered, all changes before the first one have been printed.

    python3 -P -m lab.agent.socket_poller --address 192.168.40.129

Exit codes: 0 ok, 2 invalid use, 3 no sock_diag in this kernel.
"""

from __future__ import annotations

import json
import os
import select
import sys
import time
from typing import Any

from lab.agent.clock import backlog, boot_id
from lab.agent.sockets.poller import INTERVAL, SocketPoller
from lab.programs import console


def program() -> int | None:
    parser = console.Parser(prog="socket_poller", description=__doc__)
    parser.add_argument("--address", action="append", default=[], help="address of this host on a segment")
    parser.add_argument("--interval", type=console.positive_seconds, default=INTERVAL, help="seconds")
    options = parser.parse_args()
    poller = SocketPoller(options.address, options.interval, print_report)
    print_report({"watching": boot_id(), "clock": time.time()})
    sys.stdout.flush()
    while True:
        if select.select([0], [], [], max(0.0, poller.due - time.monotonic()))[0]:
            asked = os.read(0, 64)
            for _ in range(asked.count(b"\n")):
                print_report({"clock": time.time(), "backlog": backlog()})
            if not asked:
                break
            poller.due = 0.0
        sys.stdout.flush()
        poller.poll()
        sys.stdout.flush()
    poller.poll(final=True)
    return None


def print_report(report: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(report) + "\n")


if __name__ == "__main__":
    console.main("socket_poller", program)
