"""The lab of the current test; a failed expectation shows its diagnosis."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from lab.control.lab import Lab

lab: Lab | None = None


@contextmanager
def in_test(of_test: Lab) -> Iterator[None]:
    """``of_test`` is the lab while the context lasts."""
    global lab
    lab = of_test
    try:
        yield
    finally:
        lab = None
