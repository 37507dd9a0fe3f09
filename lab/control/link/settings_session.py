"""The link during a run: at every step the requested settings are compared with those in force.

This detects changes from outside the run. The effect of each setting is kept for the record.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from lab.control.host import Host
from lab.control.link.router import LinkFailure, RouterLink, Status, difference
from lab.errors import LabError, Unsupported, UsageError
from lab.evidence.events import Event, LinkChanged, LinkFailed, Measured, Note, Observe
from lab.link.settings import Drop, LinkSettings, directions_to
from lab.link.traffic_control import BACKENDS
from lab.link.verification import Attempt


@dataclass
class Change:
    """Settings that were applied: when, by which backend, their measurements, and the packet counters."""

    at: float
    asked: LinkSettings
    backend: str
    seed: str
    attempts: list[Attempt] = field(default_factory=list)  # at measuring it; the last one was decisive
    delivered: dict[str, Any] | None = None

    @property
    def measured(self) -> Measured | None:
        return self.attempts[-1].measured if self.attempts else None

    def to_dict(self) -> dict[str, Any]:
        attempts = [attempt.as_json() for attempt in self.attempts]
        return {
            "at": self.at,
            "backend": self.backend,
            "seed": self.seed,
            "asked": self.asked.as_json(),
            "measured": attempts[-1]["measured"] if attempts else None,
            "attempts": attempts,
            "delivered": self.delivered,
        }


@dataclass
class LinkSession:
    """The settings of one link during a run."""

    hosts: Sequence[Host]
    observe: Observe
    seed: str | None = None  # of all random choices; None keeps the current one
    backend: str | None = None  # None keeps the current one, or selects the best one that works
    changes: list[Change] = field(default_factory=list)
    failure: str = ""  # the first problem of the link in this run
    _settings: LinkSettings | None = None  # None: not known yet
    _in_force: Status | None = None  # the router's last answer; None: unknown
    _counted: dict[tuple[Drop, ...], list[list[int]]] = field(default_factory=dict)
    _backend: str = ""

    def show(self) -> Status:
        """The settings in force. Raises LinkFailure if they differ from the requested ones."""
        found = self._require_router().show()
        self._compare(found)
        self._note_backend(found)
        return found

    def clear(self) -> None:
        """Removes all settings: the impairment, the partition and the drops."""
        self._request(LinkSettings(), keep=True)

    @property
    def directions(self) -> tuple[str, ...]:
        """The directions of this lab: "to-SEGMENT" for each segment of the router."""
        router = self._router()
        return directions_to(router.node.segments) if router else ()

    @property
    def settings(self) -> LinkSettings:
        """The settings that were requested last."""
        if self._settings is None:
            self._settings = self.show().settings
        return self._settings

    def begin(self, seed: str) -> None:
        """Begins a run: clears settings that are left over from an earlier one."""
        self.seed, self.backend, self.changes, self.failure = seed, None, [], ""
        self._settings, self._in_force, self._counted = LinkSettings(), None, {}
        if self._router() is not None and self.show().now:
            self._request(LinkSettings())
            self._tell(LinkChanged, LinkSettings())
            self._tell(Note, "link: an earlier run had left its settings; they were cleared")

    def end(self) -> None:
        """Ends a run: compares the settings a last time and clears them. ``failure`` is set on a problem."""
        if self._router() is None:
            return
        if self._in_force is not None and self.settings.is_nothing:
            self._keep_failure(self._compare_last)
        if self._in_force is None or not self.settings.is_nothing:
            self._keep_failure(self.clear)

    def to_dict(self) -> dict[str, Any] | None:
        """The link's part of the record. None if the lab has no router."""
        if self._router() is None:
            return None
        return {"backend": self._backend, "changes": [change.to_dict() for change in self.changes]}

    def _request(
        self, asked: LinkSettings, counted: list[list[int]] | None = None, *, keep: bool = False
    ) -> None:
        """Applies ``asked``. Raises LinkFailure if somebody else changed the settings before it."""
        router = self._require_router()
        if self.backend not in (None, *BACKENDS):
            raise UsageError(f"link: no backend {self.backend!r}: expected {', '.join(BACKENDS)}")
        seed = None if self.seed is None else f"{self.seed}/{len(self.changes)}"
        try:
            before, now = router.apply(asked, backend=self.backend, seed=seed, counted=counted)
        except Unsupported:
            raise
        except LabError as error:  # the settings in force are unknown now
            self._in_force, self.failure = None, self.failure or str(error)
            raise
        try:
            self._compare(before)
        finally:
            self._settings, self._in_force = asked, now
            self._note_backend(now)
            if keep:
                backend, made = (now.backend, now.now["seed"]) if now.now else ("", "")
                self.changes.append(Change(time.time(), asked, backend, made))
                self._tell(LinkChanged, asked, backend)

    def _compare_last(self) -> None:
        """``show``, which is unnecessary if nothing was in force and nothing is."""
        nothing = self._in_force is not None and self._in_force.now is None
        if not nothing or self._require_router().has_settings():
            self.show()

    def _counted_before(self, settings: LinkSettings) -> list[list[int]] | None:
        """The last counters of ``settings.drops``; None if these drops are in force now."""
        if self._settings is not None and self._settings.drops == settings.drops:
            return None
        return self._counted.get(settings.drops)

    def _compare(self, found: Status) -> None:
        """Records the effect of the settings so far. Raises LinkFailure if they aren't in force any more."""
        asked, self._in_force = self._in_force, found
        if asked is None:
            return
        if found.now and found.id == asked.id:
            if self.changes:
                self.changes[-1].delivered = found.delivered
            if len(found.now["drops"]) == len(found.settings.drops):
                self._counted[found.settings.drops] = found.now["drops"]
        if why := difference(asked, found):
            self._in_force = None  # reported once
            raise self._failed(why)

    def _keep_failure(self, step: Callable[[], object]) -> None:
        try:
            step()
        except LabError as error:
            self.failure = self.failure or str(error)

    def _note_backend(self, status: Status) -> None:
        self._backend = self.backend or Status(status.can, None).backend

    def _failed(self, why: str) -> LinkFailure:
        self.failure = self.failure or why
        self._tell(LinkFailed, why)
        return LinkFailure(why)

    def _tell(self, kind: Callable[..., Event], *fields: Any) -> None:
        """Reports an event of the router, or of the lab if it has no router."""
        router = self._router()
        self.observe(kind(time.time(), router.title if router else "lab", *fields))

    def _router(self) -> Host | None:
        return next((host for host in self.hosts if host.node.role == "router"), None)

    def _require_router(self) -> RouterLink:
        router = self._router()
        if router is None:
            raise Unsupported("this lab has no router whose link could be impaired")
        return RouterLink(router)
