"""One router during a run: at every step the settings that were requested are compared with those in force.

This detects changes from outside the run.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from lab.control.host import Host
from lab.control.link.router import LinkFailure, Pair, RouterLink, RouterStatus, differences
from lab.errors import LabError, Unsupported
from lab.evidence.events import LinkFailed, Observe
from lab.link.partition import Partition
from lab.link.settings import LinkSettings


class RouterSession:
    """The settings that a run has made on one router."""

    def __init__(self, router: Host, observe: Observe) -> None:
        self.router = router
        self.requests = RouterLink(router)
        self.observe = observe
        self.names: dict[Pair, str] = {}  # of its links, if the lab has several: "office–servers"
        self.failure = ""  # the first problem in this run
        self.can: dict[str, Any] = {}  # the capabilities of its kernel, once it has answered
        self.in_force: RouterStatus | None = None  # the router's last answer; None: unknown
        self.effects: list[Callable[[RouterStatus, RouterStatus], None]] = []  # called with each answer
        self.partition_effects: list[Callable[[str, dict[str, dict[str, Any]]], None]] = []  # the same

    @property
    def title(self) -> str:
        return self.router.title

    @property
    def segments(self) -> tuple[str, ...]:
        return self.router.node.segments

    def begin(self) -> RouterStatus:
        """Begins a run: clears settings left over from an earlier one, and returns them."""
        self.failure, self.in_force = "", None
        left = self.show()
        if not left.is_nothing:
            self.clear()
        return left

    def end(self, clear: Callable[[], object]) -> None:
        """Ends a run: compares the settings a last time, and calls ``clear`` if there may be some left.

        ``failure`` is set on a problem.
        """
        if self.in_force is not None and self.in_force.is_nothing:
            self._keep_failure(self.show)
        if self.in_force is None or not self.in_force.is_nothing:
            self._keep_failure(clear)

    def show(self) -> RouterStatus:
        """The settings in force. Raises LinkFailure if they differ from the requested ones."""
        found = self.requests.show()
        self._compare(found)
        return found

    def current(self) -> RouterStatus:
        """The router's last answer; it is asked if there is none."""
        return self.in_force or self.show()

    def apply(self, pair: Pair, asked: LinkSettings, **options: Any) -> None:
        """Replaces the settings of one link; ``options`` are those of RouterLink.apply.

        Raises LinkFailure if somebody else changed the settings before; ``asked`` is in force even then.
        """
        self._change(lambda: self.requests.apply(pair, asked, **options))

    def clear(self) -> None:
        """Removes the settings of all links, and all partitions."""
        self._change(self.requests.clear)

    def partition(self, partition: Partition) -> str:
        """Makes a partition; returns its id."""
        known = set() if self.in_force is None else self.in_force.partitions.keys()
        now = self._change(lambda: self.requests.partition(partition))
        return max(now.partitions.keys() - known, key=lambda name: float(now.partitions[name]["since"]))

    def heal(self, name: str) -> None:
        self._change(lambda: self.requests.heal(name))

    def failed(self, why: str, pair: Pair | None = None) -> LinkFailure:
        """The exception for a problem, which is also an event and the reason why the run fails."""
        name = self.names.get(pair, "") if pair else ""
        text = f"{name}: {why}" if name else why
        self.failure = self.failure or text
        self.observe(LinkFailed(time.time(), self.title, why, name))
        return LinkFailure(text)

    def _change(self, request: Callable[[], tuple[RouterStatus, RouterStatus]]) -> RouterStatus:
        try:
            before, now = request()
        except Unsupported:
            raise
        except LabError as error:  # the settings in force are unknown now
            self.in_force, self.failure = None, self.failure or str(error)
            raise
        try:
            self._compare(before)
        finally:
            self.in_force = now
        return now

    def _compare(self, found: RouterStatus) -> None:
        """Reports the effect of the settings so far. Raises LinkFailure if they aren't in force any more."""
        asked, self.in_force, self.can = self.in_force, found, found.can
        if asked is None:
            return
        for effect in self.effects:
            effect(asked, found)
        for keep in self.partition_effects:
            keep(self.title, found.partitions)
        for pair, why in differences(asked, found):
            self.in_force = None  # reported once
            raise self.failed(why, pair)

    def _keep_failure(self, step: Callable[[], object]) -> None:
        try:
            step()
        except LabError as error:
            self.failure = self.failure or str(error)
