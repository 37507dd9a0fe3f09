"""Exact confidence intervals for a proportion (Clopper and Pearson 1934)."""

from __future__ import annotations

import math
from collections.abc import Callable


def interval(count: int, total: int, alpha: float) -> tuple[float, float]:
    """The confidence interval of a proportion, given ``count`` successes in ``total`` trials.

    ``alpha`` is the probability that the true proportion is outside the interval.
    """
    low = 0.0 if count == 0 else _solve(lambda p: upper_tail(count, total, p) - alpha / 2)
    high = 1.0 if count == total else _solve(lambda p: alpha / 2 - upper_tail(total - count, total, 1 - p))
    return low, high


def _solve(rising: Callable[[float], float]) -> float:
    """The root of an increasing function between 0 and 1, by bisection."""
    low, high = 0.0, 1.0
    for _ in range(40):
        middle = (low + high) / 2
        low, high = (low, middle) if rising(middle) > 0 else (middle, high)
    return (low + high) / 2


def upper_tail(count: int, total: int, p: float) -> float:
    """The probability of ``count`` or more successes in ``total`` trials, each with probability ``p``."""
    if count <= 0 or count > total:
        return float(count <= 0)
    if p <= 0.0 or p >= 1.0:
        return float(p >= 1.0)
    ways = math.lgamma(total + 1) - math.lgamma(count + 1) - math.lgamma(total - count + 1)
    term = probability = math.exp(ways + count * math.log(p) + (total - count) * math.log1p(-p))
    if count < total * p:  # the terms still increase: sum the shorter tail instead
        return 1.0 - upper_tail(total - count + 1, total, 1 - p)
    for k in range(count, total):
        term *= (total - k) / (k + 1) * p / (1 - p)
        probability += term
        if term < probability * 1e-12:
            break
    return min(1.0, probability)
