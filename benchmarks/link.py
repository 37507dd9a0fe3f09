"""The link: how exactly each backend meets a grid of settings, and its throughput."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from benchmarks.rig import Rig
from benchmarks.table import BITS_PER_SECOND, SECONDS, CannotMeasure, Table, Unit, alternate
from lab.control.host import Host
from lab.control.lab import Lab
from lab.control.link.link import Link
from lab.link.settings import Impairment
from lab.link.verification import TOLERANCE

STREAMS = 4  # at a round-trip time of 40 ms a single stream is limited by its window
SECONDS_EACH = 5

SHARE = Unit("share", "more", "less", True, ((0.01, "%"),))
PLAIN = "plain forwarding"

GRID = [
    Impairment(delay=0.001), Impairment(delay=0.005), Impairment(delay=0.02), Impairment(delay=0.1),
    Impairment(delay=0.02, jitter=0.005), Impairment(delay=0.1, jitter=0.05),
    Impairment(loss=0.01), Impairment(loss=0.1), Impairment(loss=0.5),
    Impairment(duplication=0.1), Impairment(delay=0.02, reordering=0.25), Impairment(corruption=0.1),
    Impairment(rate=1e6), Impairment(rate=10e6), Impairment(rate=50e6),
    Impairment(delay=0.02, jitter=0.005, loss=0.05, duplication=0.05, corruption=0.05, rate=20e6),
]  # fmt: skip

THROUGHPUTS: dict[str, tuple[str, Impairment]] = {
    "nfqueue, 20 ms each way": ("nfqueue", Impairment(delay=0.02)),
    "nfqueue, 20 ms each way, 0.001% loss": ("nfqueue", Impairment(delay=0.02, loss=0.00001)),
    "nfqueue, 20 ms ± 1 ms each way": ("nfqueue", Impairment(delay=0.02, jitter=0.001)),
    "nfqueue, 20 ms each way, rate 1 Gbit/s": ("nfqueue", Impairment(delay=0.02, rate=1e9)),
    "statistic, 0.001% loss": ("statistic", Impairment(loss=0.00001)),
    "tbf, rate 1 Gbit/s": ("statistic", Impairment(rate=1e9)),
    "netem, 20 ms each way": ("netem", Impairment(delay=0.02)),
}


def measure(rig: Rig) -> Iterator[Table]:
    lab = rig.lab
    lab.link.begin("1")
    try:
        yield from errors(lab.link, rig.rounds(1))
        yield throughput(lab, rig.rounds(3))
    finally:
        lab.link.clear()


def errors(link: Link, rounds: int) -> Iterator[Table]:
    """One table for each kind of setting, with the errors of the measured values."""
    tables = {
        "delay": Table("Delay: absolute error", SECONDS),
        "jitter": Table("Jitter: absolute error", SECONDS),
        "rate": Table("Rate: relative error", SHARE),
    }
    way = link.directions[0]
    shares = Table("Loss, duplication, reordering, corruption: absolute error", SHARE)
    for asked in GRID * rounds:
        _set_each(link, asked)
        for check in link.verify().measured[way]:
            if not check.asked:
                continue
            table = tables.get(check.what, shares)
            off = abs(check.measured - check.asked)
            table.add(
                f"{check.what} of {asked.describe()}", off / check.asked if check.what == "rate" else off
            )
            if check.ok is not True:
                table.miss(f"{check.what} of {asked.describe()}", check.note or "not the requested value")
    worst = max((max(values) for values in tables["delay"].rows.values()), default=None)
    tables["delay"].at_most(TOLERANCE, "largest error of a delay", worst, SECONDS)
    for table in tables.values():
        table.notes.append(
            f"Backend {link.show().backend}; one-way, {way}; one row per setting, measured once per round."
        )
        yield table
    yield shares


def throughput(lab: Lab, rounds: int) -> Table:
    table = Table(
        f"TCP from client to server across the link, {STREAMS} streams", BITS_PER_SECOND, base=PLAIN
    )
    ways: dict[str, Callable[[], float]] = {PLAIN: lambda: tcp_rate(lab, None, Impairment())}
    for name, (backend, asked) in THROUGHPUTS.items():
        ways[name] = lambda backend=backend, asked=asked: tcp_rate(lab, backend, asked)  # type: ignore[misc]
    alternate(table, ways, rounds)
    table.at_least(
        700e6, "nfqueue with 20 ms each way", table.median("nfqueue, 20 ms each way"), BITS_PER_SECOND
    )
    table.notes.append(
        "iperf3 and the process that holds the packets share the machine's processors. Bursts of TCP stay "
        "whole (GSO) if all packets are treated alike; any loss, however small, splits them."
    )
    return table


def tcp_rate(lab: Lab, backend: str | None, asked: Impairment) -> float:
    with (
        prepared(lab.link, backend, asked),
        lab.server.start("iperf3 -s -1 --forceflush", announce="Server listening"),
    ):
        return iperf(lab.client)


def iperf(client: Host) -> float:
    command = f"iperf3 -c server -4 -J -P {STREAMS} -O 1 -t {SECONDS_EACH}"
    result = client.run(command, timeout=60)
    try:
        return float(json.loads(result.stdout)["end"]["sum_received"]["bits_per_second"])
    except (ValueError, KeyError):
        raise CannotMeasure(result.describe()) from None


def _set_each(link: Link, asked: Impairment) -> None:
    link.set_each(dict.fromkeys(link.directions, asked), verify=False)


@contextmanager
def prepared(link: Link, backend: str | None, asked: Impairment) -> Iterator[None]:
    """Impairs the link with ``backend`` for the duration of the context. Raises Unsupported."""
    link.clear()
    link.backend = backend
    try:
        if not asked.is_nothing:
            _set_each(link, asked)
        yield
    finally:
        link.backend = None
        link.clear()
