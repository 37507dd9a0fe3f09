"""Waits until something holds, or observes that it doesn't; the text of a failure."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from typing import TypeVar

from lab.errors import LabError, UsageError
from lab.locale import _, from_environment, message
from lab.testing.expectations import current

INTERVAL = 0.05  # seconds between two reads
MAX_SECONDS = 3600.0

T = TypeVar("T")


def wait_until(read: Callable[[], T], holds: Callable[[T], bool], seconds: float) -> tuple[T, bool]:
    """Reads at least once, until ``holds`` is true of a value. Returns the last one, and whether it holds."""
    until = time.monotonic() + seconds
    while True:
        value = read()
        if holds(value):
            return value, True
        if (left := until - time.monotonic()) <= 0:
            return value, False
        time.sleep(min(INTERVAL, left))


def check_seconds(name: str, value: object) -> None:
    """Raises UsageError unless ``value`` is a duration in seconds."""
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    if not is_number or not 0 <= value <= MAX_SECONDS:  # type: ignore[operator]
        raise UsageError(message("{name}={value!r}: expected seconds", name=name, value=value))


def check_port(value: object) -> None:
    """Raises UsageError unless ``value`` is a port."""
    if not isinstance(value, int) or isinstance(value, bool) or not 1 <= value <= 65_535:
        raise UsageError(message("port={value!r}: expected a number from 1 to 65535", value=value))


def failed(headline: str, details: Iterable[str] = (), *, since: float = 0.0) -> AssertionError:
    """The failure of an expectation: a headline, details, and the diagnosis of the test's lab.

    ``since`` is the start of the expectation, as time.time(): earlier failures have other causes.
    """
    return AssertionError("\n".join([headline, *(f"  {line}" for line in details), *_diagnosis(since)]))


def _diagnosis(since: float) -> list[str]:
    if current.lab is None:
        return []
    try:
        sentences = current.lab.diagnosis(since).in_language(from_environment())
    except LabError as error:
        return ["  " + _("no diagnosis: {reason}").format(reason=error.in_language(from_environment()))]
    return ["  " + _("diagnosis: {sentence}").format(sentence=sentence) for sentence in sentences]
