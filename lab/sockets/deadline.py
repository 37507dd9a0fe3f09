"""Deadlines of socket operations, and the default time limits."""

from __future__ import annotations

import time

CONNECT_TIMEOUT = 10.0  # seconds
IDLE_TIMEOUT = 60.0  # seconds that a peer may be silent between requests
HEADER_TIMEOUT = 10.0  # seconds from the first byte of a header to its last


class Deadline:
    """The time by which an operation must be complete. ``None`` seconds: never.

    The time is absolute, so a slow peer can't extend it by sending or reading one byte after the other.
    """

    def __init__(self, seconds: float | None) -> None:
        self.at = None if seconds is None else time.monotonic() + seconds  # on the monotonic clock

    def remaining(self) -> float | None:
        """Seconds left; None if there is no limit. Raises TimeoutError if none are left."""
        if self.at is None:
            return None
        left = self.at - time.monotonic()
        if left <= 0:
            raise TimeoutError("timed out")
        return left

    def or_earlier(self, seconds: float) -> Deadline:
        """This deadline or the one in ``seconds``, whichever comes first."""
        other = Deadline(seconds)
        return self if self.at is not None and other.at is not None and self.at < other.at else other


NEVER = Deadline(None)
