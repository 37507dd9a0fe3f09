"""Does the link do what was asked? Which probes to send, and what their arrival proves.

Shares are judged by the exact binomial test (Clopper and Pearson 1934), durations by quantiles, which a busy
machine disturbs less than means. A link that does what was asked is rejected about once in a million times.
"""

from __future__ import annotations

import math
import struct
import zlib
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, NamedTuple

from lab.link.settings import Impairment, describe_rate

ALPHA = 1e-6
COUNT = 2000  # probes a direction, fewer where the line is slow
INTERVAL = 0.0005  # seconds between two of them
SPAN = 3.0  # seconds that they take at most
FEWEST = 20
LINE_SHARE = 0.25  # of a slow line that probes may take: they must not wait for each other
TOLERANCE = 0.002  # seconds, of delay and jitter
RATE_TOLERANCE = 0.06
TRAIN = 0.3  # seconds of a line's capacity that are sent at once to measure its rate
TRAIN_LIMIT = 3000  # packets
OVERHEAD = 14 + 20 + 8  # bytes of Ethernet, IPv4 and UDP headers

_probe = struct.Struct("!IQI")  # number, sent at (ns since the epoch), CRC-32 of the two and of what follows
PROBE_SIZE = 40  # bytes of UDP payload
TRAIN_SIZE = 1400


@dataclass(frozen=True)
class Plan:
    """What one host sends: ``count`` probes, then ``train`` large ones back to back."""

    count: int
    interval: float
    train: int

    def as_json(self) -> dict[str, Any]:
        return asdict(self)


def plan(asked: Impairment) -> Plan:
    """The probes that suffice for one direction."""
    if asked.rate is None:
        return Plan(COUNT, INTERVAL, 0)
    interval = max(INTERVAL, (PROBE_SIZE + OVERHEAD) * 8 / (asked.rate * LINE_SHARE))
    packets = int(asked.rate * TRAIN / 8 / (TRAIN_SIZE + OVERHEAD))
    return Plan(max(FEWEST, min(COUNT, int(SPAN / interval))), interval, max(10, min(packets, TRAIN_LIMIT)))


def patience(asked: Impairment) -> float:
    """Seconds after which nothing that was sent can still arrive."""
    wait = asked.delay + asked.jitter + 0.3
    if asked.rate is not None:
        wait += plan(asked).train * (TRAIN_SIZE + OVERHEAD) * 8 / asked.rate
    return wait


def build_probe(number: int, sent_ns: int, size: int) -> bytes:
    padding = bytes(size - _probe.size)
    return _probe.pack(number, sent_ns, zlib.crc32(struct.pack("!IQ", number, sent_ns) + padding)) + padding


def read_probe(data: bytes) -> tuple[int, int] | None:
    """(number, sent at in ns), or None for one that was changed on its way."""
    if len(data) < _probe.size:
        return None
    number, sent_ns, check = _probe.unpack_from(data)
    if zlib.crc32(struct.pack("!IQ", number, sent_ns) + data[_probe.size :]) != check:
        return None
    return number, sent_ns


class Observation(NamedTuple):
    """What came in on one side.

    ``arrivals`` are (number, one-way delay in seconds), as they came, doubles too; ``corrupted`` counts the
    changed ones that differ from each other; the train's bytes, without its first packet, came within
    ``train_seconds``; ``offered`` is the rate at which it was sent, in bit/s (0: no train was sent).
    """

    sent: int
    arrivals: Sequence[tuple[int, float]]
    corrupted: int = 0
    train_bytes: int = 0
    train_seconds: float = 0.0
    offered: float = 0.0


@dataclass(frozen=True)
class Check:
    """One thing that was asked, and what was measured: the truth is in ``low`` … ``high``.

    ``ok`` is None where it couldn't be judged; ``note`` says why. Shares 0–1, seconds, or bit/s.
    """

    what: str
    asked: float
    measured: float
    low: float
    high: float
    ok: bool | None
    note: str = ""

    def as_json(self) -> dict[str, Any]:
        return asdict(self)

    @property
    def matters(self) -> bool:
        """Whether a table should show it: it was asked for, or isn't right."""
        return bool(self.asked) or not self.ok or self.what in ("delay", "loss")

    def show(self, value: float) -> str:
        """``value`` in this check's unit."""
        if self.what in ("delay", "jitter"):
            return f"{value * 1000:.2f} ms"
        return describe_rate(value) if self.what == "rate" else f"{value * 100:.3g}%"


def judge(asked: Impairment, seen: Observation, *, cut: bool = False) -> list[Check]:
    """Compares one direction with what was asked of it."""
    first: dict[int, float] = {}
    for number, delay in seen.arrivals:
        first.setdefault(number, delay)
    whole = len(first)
    arrived = min(seen.sent, whole + seen.corrupted)
    checks = [_share("loss", 1.0 if cut else asked.loss, seen.sent - arrived, seen.sent)]
    if cut or not whole:
        return checks
    checks.append(_share("duplication", asked.duplication, min(whole, len(seen.arrivals) - whole), whole))
    checks.append(_share("corruption", asked.corruption, min(seen.corrupted, arrived), arrived))
    checks += _judge_delays(asked, list(first.values()))
    if asked.rate is not None and seen.offered:
        checks.append(_judge_rate(asked.rate, seen))
    return checks


def _judge_delays(asked: Impairment, delays: Sequence[float]) -> list[Check]:
    checks = []
    early: list[float] = []
    if asked.delay:
        # Those that skip the delay take nearly no time; half of the shortest delay tells them apart.
        border = max((asked.delay - asked.jitter) / 2, asked.delay / 10)
        early = [delay for delay in delays if delay < border]
        short = _uniform_below(border, asked.delay, asked.jitter)
        checks.append(_share("reordering", asked.reordering, len(early), len(delays), background=short))
    # Where all of them are early, there is no delay at all.
    held = sorted(delay for delay in delays if not 0 < len(early) < len(delays) or delay >= border)
    # A packet may have to wait for itself on a slow line; the middle of n even draws varies by jitter/√n.
    slack = TOLERANCE + 5 * asked.jitter / math.sqrt(len(held))
    own = (PROBE_SIZE + OVERHEAD) * 8 / asked.rate if asked.rate else 0.0
    middle, spread = _quantile(held, 0.5), (_quantile(held, 0.8) - _quantile(held, 0.2)) / 2 / 0.6
    low, high = middle - slack - own, middle + slack
    checks.append(Check("delay", asked.delay, middle, max(0.0, low), high, low <= asked.delay <= high))
    slack += asked.jitter * 0.1
    low, high = spread - slack, spread + slack
    checks.append(Check("jitter", asked.jitter, spread, max(0.0, low), high, low <= asked.jitter <= high))
    return checks


def _judge_rate(asked: float, seen: Observation) -> Check:
    measured = seen.train_bytes * 8 / seen.train_seconds if seen.train_seconds else 0.0
    low, high = measured * (1 - RATE_TOLERANCE), measured * (1 + RATE_TOLERANCE)
    ok: bool | None = low <= asked <= high
    note = ""
    if measured < asked and seen.offered < asked * 1.2:
        ok, note = None, f"the probe offers only {describe_rate(seen.offered)}"
    return Check("rate", asked, measured, low, high, ok, note)


def _share(what: str, asked: float, count: int, total: int, *, background: float = 0.0) -> Check:
    """``background`` is the share of those that aren't meant but look the same."""
    low, high = interval(count, total)
    expected = asked + (1 - asked) * background

    def cleared(share: float) -> float:
        return min(1.0, max(0.0, (share - background) / (1 - background))) if background < 1 else 0.0

    ok = low <= expected <= high
    return Check(what, asked, cleared(count / total if total else 0.0), cleared(low), cleared(high), ok)


def interval(count: int, total: int, alpha: float = ALPHA) -> tuple[float, float]:
    """The Clopper–Pearson interval of a share of which ``count`` of ``total`` were seen."""
    low = 0.0 if count == 0 else _solve(lambda p: _upper_tail(count, total, p) - alpha / 2)
    high = 1.0 if count == total else _solve(lambda p: alpha / 2 - _upper_tail(total - count, total, 1 - p))
    return low, high


def _solve(rising: Any) -> float:
    """Where a rising function of 0–1 crosses 0."""
    low, high = 0.0, 1.0
    for _ in range(40):
        middle = (low + high) / 2
        low, high = (low, middle) if rising(middle) > 0 else (middle, high)
    return (low + high) / 2


def _upper_tail(count: int, total: int, p: float) -> float:
    """The chance of ``count`` or more of ``total``."""
    if p <= 0.0 or p >= 1.0:
        return float(p >= 1.0 or count == 0)
    ways = math.lgamma(total + 1) - math.lgamma(count + 1) - math.lgamma(total - count + 1)
    term = total_chance = math.exp(ways + count * math.log(p) + (total - count) * math.log1p(-p))
    if count < total * p:  # terms still grow: sum the other side, which is shorter
        return 1.0 - _upper_tail(total - count + 1, total, 1 - p)
    for k in range(count, total):
        term *= (total - k) / (k + 1) * p / (1 - p)
        total_chance += term
        if term < total_chance * 1e-12:
            break
    return min(1.0, total_chance)


def _uniform_below(border: float, middle: float, half_width: float) -> float:
    if not half_width:
        return 0.0
    return min(1.0, max(0.0, (border - (middle - half_width)) / (2 * half_width)))


def _quantile(ordered: Sequence[float], share: float) -> float:
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]
