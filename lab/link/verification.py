"""Compares a measurement of the link with its settings, and decides whether to measure again.

Shares are checked by exact binomial intervals, durations by quantiles, because a busy machine distorts
quantiles less than means.

The error probabilities hold for a whole verification, which measures up to ATTEMPTS times:

* Each check is made at LEVEL, which is ALPHA divided by the number of checks that a verification can make. So
  a link that behaves as requested is rejected by chance with a probability of at most ALPHA (Bonferroni).
* A measurement is decisive unless three conditions are true: a check failed; the probe processes were not
  scheduled in time, which doesn't depend on the link; and a busy machine can cause each of the wrong values.
  A busy machine delays and loses packets. It can't make them early, duplicate or corrupt them. So a link is
  never measured again on an idle machine, or if it impairs packets less than requested.
* On a busy machine a wrong link is measured at most ATTEMPTS times. It is accepted with a probability of at
  most ALPHA if each measurement accepts it with at most ALPHA / ATTEMPTS (union bound). This is true for
  every share that differs enough from the requested one. With 2000 probes: 1% instead of 0; 18.5% or 3.5%
  instead of 10%. It is true for a delay or jitter that differs by more than the width of its interval.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from statistics import NormalDist
from typing import Any, TypeAlias

from lab.link.binomial import interval
from lab.link.probe_format import OVERHEAD, PROBE_SIZE, Observation
from lab.link.settings import Impairment
from lab.link.units import describe_rate
from lab.locale import Message, message

ALPHA = 1e-6
ATTEMPTS = 5
CHECKS = 2 * 7  # both directions: loss, duplication, corruption, reordering, delay, jitter, rate
LEVEL = ALPHA / (ATTEMPTS * CHECKS)
DEVIATIONS = NormalDist().inv_cdf(1 - LEVEL / 2)  # standard deviations on either side
TOLERANCE = 0.002  # seconds, of delay and jitter
RATE_TOLERANCE = 0.06
NAMES = {
    "loss": message("loss"),
    "duplication": message("duplication"),
    "corruption": message("corruption"),
    "reordering": message("reordering"),
    "delay": message("delay"),
    "jitter": message("jitter"),
    "rate": message("rate"),
}


@dataclass(frozen=True)
class Check:
    """A requested value and its measurement. The true value is between ``low`` and ``high``.

    ``ok`` is None if it couldn't be judged; ``note`` is the reason. Shares are in 0–1, durations in seconds,
    rates in bit/s.
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
    def name(self) -> Message:
        """``what`` as a text for the reader."""
        return NAMES.get(self.what) or Message(self.what)

    @property
    def matters(self) -> bool:
        """True if a table should show it: it was requested, or it is wrong."""
        return bool(self.asked) or not self.ok or self.what in ("delay", "loss")

    @property
    def may_be_noise(self) -> bool:
        """True if a busy machine can cause the deviation."""
        if self.what in ("loss", "delay", "jitter"):
            return self.measured > self.asked
        return self.what in ("reordering", "rate") and self.measured < self.asked

    @property
    def is_known(self) -> bool:
        """False if nothing was measured."""
        return self.ok is not None or (self.low, self.high) != (0.0, 1.0)

    def show(self, value: float) -> str:
        """Formats ``value`` in this check's unit."""
        if self.what in ("delay", "jitter"):
            return f"{value * 1000:.2f} ms"
        return describe_rate(value) if self.what == "rate" else f"{value * 100:.3g}%"


Measured: TypeAlias = dict[str, list[Check]]  # by direction


@dataclass(frozen=True)
class Attempt:
    """One measurement of all directions. ``at`` is in seconds since the epoch."""

    at: float
    measured: Measured
    disturbed: bool = False  # the machine was too busy to run the probes in time

    @property
    def wrong(self) -> list[tuple[str, Check]]:
        """The checks that failed, with their directions."""
        return [
            (direction, check)
            for direction, checks in self.measured.items()
            for check in checks
            if check.ok is False
        ]

    @property
    def decides(self) -> bool:
        """False if the link must be measured again before it is rejected."""
        wrong = self.wrong
        return not (wrong and self.disturbed and all(check.may_be_noise for _, check in wrong))

    def as_json(self) -> dict[str, Any]:
        measured = {way: [check.as_json() for check in checks] for way, checks in self.measured.items()}
        return {"at": self.at, "disturbed": self.disturbed, "measured": measured}


def judge(asked: Impairment, seen: Observation, *, cut: bool = False, level: float = LEVEL) -> list[Check]:
    """Compares an observation of one direction with its settings.

    ``level`` is the error probability of each check.
    """
    first: dict[int, float] = {}
    for number, delay in seen.arrivals:
        first.setdefault(number, delay)
    whole = len(first)
    arrived = min(seen.sent, whole + seen.corrupted)
    checks = [_share("loss", 1.0 if cut else asked.loss, seen.sent - arrived, seen.sent, level)]
    if cut or not whole:
        return checks
    checks.append(
        _share("duplication", asked.duplication, min(whole, len(seen.arrivals) - whole), whole, level)
    )
    checks.append(_share("corruption", asked.corruption, min(seen.corrupted, arrived), arrived, level))
    checks += _judge_delays(asked, list(first.values()), level)
    if asked.rate is not None and seen.offered:
        checks.append(_judge_rate(asked.rate, seen))
    return checks


def unmeasured(asked: Impairment, cut: bool, note: str) -> Check:
    """The check of a direction in which no probe could be sent. ``note`` is the reason."""
    return Check("loss", 1.0 if cut else asked.loss, 0.0, 0.0, 1.0, None, note)


def _judge_delays(asked: Impairment, delays: Sequence[float], level: float) -> list[Check]:
    checks = []
    early: list[float] = []
    if asked.delay:
        # Packets that skip the delay arrive almost at once; half of the shortest delay separates the two.
        border = max((asked.delay - asked.jitter) / 2, asked.delay / 10)
        early = [delay for delay in delays if delay < border]
        short = _uniform_below(border, asked.delay, asked.jitter)
        checks.append(
            _share("reordering", asked.reordering, len(early), len(delays), level, background=short)
        )
    # If all packets are early, the link has no delay.
    held = sorted(delay for delay in delays if not 0 < len(early) < len(delays) or delay >= border)
    # On a slow line the delay includes the transmission time of a packet. The median of n uniform values has
    # a standard deviation of jitter/√n, and that of the estimated spread is smaller.
    slack = TOLERANCE + DEVIATIONS * asked.jitter / math.sqrt(len(held))
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
        ok, note = None, f"the probes offer only {describe_rate(seen.offered)}"
    return Check("rate", asked, measured, low, high, ok, note)


def _share(
    what: str, asked: float, count: int, total: int, level: float, *, background: float = 0.0
) -> Check:
    """Checks a share. ``background`` is the share of packets that are counted without being affected."""
    low, high = interval(count, total, level)
    expected = asked + (1 - asked) * background

    def cleared(share: float) -> float:
        return min(1.0, max(0.0, (share - background) / (1 - background))) if background < 1 else 0.0

    ok = low <= expected <= high
    return Check(what, asked, cleared(count / total if total else 0.0), cleared(low), cleared(high), ok)


def _uniform_below(border: float, middle: float, half_width: float) -> float:
    """The share of a uniform distribution that is below ``border``."""
    if not half_width:
        return 0.0
    return min(1.0, max(0.0, (border - (middle - half_width)) / (2 * half_width)))


def _quantile(ordered: Sequence[float], share: float) -> float:
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]
