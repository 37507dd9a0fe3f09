"""Tables of measured values: several ways to do one thing, compared with one of them, and goals."""

from __future__ import annotations

import statistics
import subprocess
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from lab.errors import LabError

Way: TypeAlias = Callable[[], float]  # does it once and returns the measured value, in the table's unit


class CannotMeasure(Exception):
    """A way can't be measured on this machine; the message says why."""


FAILURES = (CannotMeasure, LabError, OSError, subprocess.SubprocessError)


@dataclass(frozen=True)
class Unit:
    """The unit of values, and which of two values is better."""

    name: str
    better: str  # word for the better of two values
    worse: str
    less_is_better: bool
    steps: tuple[tuple[float, str], ...]  # largest first: the least value for a prefix, and prefix and unit

    def show(self, value: float) -> str:
        """The value as text: ``2.41 ms``."""
        size, name = next((step for step in self.steps if abs(value) >= step[0]), self.steps[-1])
        scaled = value / size
        digits = 0 if abs(scaled) >= 100 else 1 if abs(scaled) >= 10 else 2
        return f"{scaled:.{digits}f} {name}"


SECONDS = Unit("s", "faster", "slower", True, ((1.0, "s"), (1e-3, "ms"), (1e-6, "µs")))
BITS_PER_SECOND = Unit("bit/s", "faster", "slower", False, ((1e9, "Gbit/s"), (1e6, "Mbit/s"), (1.0, "bit/s")))
PER_SECOND = Unit("1/s", "faster", "slower", False, ((1e3, "k/s"), (1.0, "/s")))
BYTES = Unit("B", "smaller", "larger", True, ((1 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB"), (1, "B")))


@dataclass(frozen=True)
class Goal:
    """A limit for a measured value. ``value`` is None if it could not be measured."""

    text: str
    value: float | None
    limit: float
    at_most: bool = True
    unit: Unit | None = None  # None: a number, such as a multiple of another way

    def show(self, value: float) -> str:
        return f"{value:.3g}" if self.unit is None else self.unit.show(value)

    @property
    def ratio(self) -> float | None:
        """The value as a share of the limit."""
        return None if self.value is None else self.value / self.limit

    @property
    def reached(self) -> bool | None:
        if self.value is None:
            return None
        return self.value <= self.limit if self.at_most else self.value >= self.limit


@dataclass
class Table:
    """One comparison. ``base`` is the way with which the others are compared."""

    title: str
    unit: Unit
    base: str = ""
    rows: dict[str, list[float]] = field(default_factory=dict)
    remarks: dict[str, str] = field(default_factory=dict)  # by way
    missing: dict[str, str] = field(default_factory=dict)  # ways without a value, with the reason
    goals: list[Goal] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)  # about the whole table

    def add(self, way: str, value: float) -> None:
        self.rows.setdefault(way, []).append(value)

    def miss(self, way: str, why: object) -> None:
        """``way`` can't be measured; its values so far are dropped."""
        self.rows.pop(way, None)
        self.missing[way] = " ".join(str(why).split()) or type(why).__name__

    def median(self, way: str) -> float | None:
        return statistics.median(self.rows[way]) if way in self.rows else None

    def factor(self, way: str, other: str | None = None) -> float | None:
        """How many times better than ``other`` (the base): 2.0 is half the time, or twice the rate."""
        mine, theirs = self.median(way), self.median(self.base if other is None else other)
        if not mine or not theirs:
            return None
        return theirs / mine if self.unit.less_is_better else mine / theirs

    def times(self, way: str, other: str) -> float | None:
        """The value of ``way`` as a multiple of the value of ``other``, regardless of which is better."""
        mine, theirs = self.median(way), self.median(other)
        return mine / theirs if mine is not None and theirs else None

    def compared(self, way: str) -> str:
        """Its factor as text: ``3.10 × faster``."""
        factor = self.factor(way)
        if factor is None or way == self.base:
            return ""
        times, word = (factor, self.unit.better) if factor >= 1 else (1 / factor, self.unit.worse)
        return f"{times:.2f} × {word}"

    def at_most(self, limit: float, text: str, value: float | None, unit: Unit | None = None) -> None:
        self.goals.append(Goal(text, value, limit, unit=unit))

    def at_least(self, limit: float, text: str, value: float | None, unit: Unit | None = None) -> None:
        self.goals.append(Goal(text, value, limit, at_most=False, unit=unit))

    @property
    def complete(self) -> bool:
        return not self.missing and all(goal.value is not None for goal in self.goals)

    def as_json(self) -> dict[str, Any]:
        rows = {
            way: {
                "median": self.median(way),
                "least": min(values),
                "most": max(values),
                "factor": self.factor(way),
                "values": values,
                "remark": self.remarks.get(way, ""),
            }
            for way, values in self.rows.items()
        }
        goals = [
            {
                "text": goal.text,
                "unit": goal.unit.name if goal.unit else "",
                "value": goal.value,
                "limit": goal.limit,
                "at_most": goal.at_most,
                "reached": goal.reached,
            }
            for goal in self.goals
        ]
        return {
            "title": self.title, "unit": self.unit.name, "less_is_better": self.unit.less_is_better,
            "base": self.base, "rows": rows, "missing": self.missing, "goals": goals, "notes": self.notes,
        }  # fmt: skip


def alternate(table: Table, ways: Mapping[str, Way], rounds: int, *, warm_up: bool = True) -> None:
    """Runs each way once in each round, A B C A B C …, so that a passing disturbance affects all of them.

    A way that fails is entered as missing, with the reason, and isn't tried again.
    """
    for number in range(0 if warm_up else 1, rounds + 1):
        for name, way in ways.items():
            if name in table.missing:
                continue
            try:
                value = way()
            except FAILURES as error:
                table.miss(name, explain(error))
                continue
            if number:
                table.add(name, value)


def timed(action: Callable[[], object]) -> Way:
    """A way whose value is the duration of ``action`` in seconds."""

    def way() -> float:
        started = time.perf_counter()
        action()
        return time.perf_counter() - started

    return way


def explain(error: BaseException) -> str:
    """The error with the last line that a failed command wrote to stderr, if any."""
    stderr = getattr(error, "stderr", None) or b""
    text = stderr.decode(errors="replace") if isinstance(stderr, bytes) else str(stderr)
    last = text.strip().splitlines()[-1:] or [""]
    return f"{error}: {last[0]}" if last[0] else str(error) or type(error).__name__
