"""One link during a run: the settings that were requested, and the effect of each for the record."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from lab.control.link.router import LinkFailure, Pair, RouterStatus, Status
from lab.control.link.router_session import RouterSession
from lab.errors import UsageError
from lab.evidence.events import Event, LinkChanged, Measured
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
    link: str = ""  # its name, if the lab has several
    attempts: list[Attempt] = field(default_factory=list)  # at measuring it; the last one was decisive
    delivered: dict[str, Any] | None = None

    @property
    def measured(self) -> Measured | None:
        return self.attempts[-1].measured if self.attempts else None

    def to_dict(self) -> dict[str, Any]:
        attempts = [attempt.as_json() for attempt in self.attempts]
        return {
            "at": self.at,
            **({"link": self.link} if self.link else {}),
            "backend": self.backend,
            "seed": self.seed,
            "asked": self.asked.as_json(),
            "measured": attempts[-1]["measured"] if attempts else None,
            "attempts": attempts,
            "delivered": self.delivered,
        }


class LinkSession:
    """The settings of one link, between two segments of a router, during a run."""

    def __init__(self, router: RouterSession, pair: Pair) -> None:
        self.router = router
        self.pair = pair
        self.seed: str | None = None  # of all random choices; None keeps the current one
        self.backend: str | None = None  # None keeps the current one, or selects the best one that works
        self.changes: list[Change] = []
        self._settings: LinkSettings | None = None  # None: not known yet
        self._counted: dict[tuple[Drop, ...], list[list[int]]] = {}
        router.effects.append(self._keep_effect)

    @property
    def name(self) -> str:
        """ "office–servers"; "" if the lab has no other link."""
        return self.router.names.get(self.pair, "")

    @property
    def used_backend(self) -> str:
        """The backend that applies its settings; "" if the router hasn't answered yet."""
        return self.backend or (Status(self.router.can, None).backend if self.router.can else "")

    @property
    def directions(self) -> tuple[str, ...]:
        return directions_to(self.pair)

    @property
    def settings(self) -> LinkSettings:
        """The settings that were requested last."""
        if self._settings is None:
            self._settings = self.router.current().link(self.pair).settings
        return self._settings

    @property
    def may_have_settings(self) -> bool:
        return self._settings is None or not self._settings.is_nothing

    def begin(self, seed: str) -> None:
        """Begins a run, in which the link has no settings yet."""
        self.seed, self.backend, self.changes = seed, None, []
        self._settings, self._counted = LinkSettings(), {}

    def show(self) -> Status:
        """The settings in force. Raises LinkFailure if those of the router differ from the requested ones."""
        return self.router.show().link(self.pair)

    def request(self, asked: LinkSettings, counted: list[list[int]] | None = None) -> None:
        """Applies ``asked``. Raises LinkFailure if somebody else changed the settings before it."""
        if self.backend not in (None, *BACKENDS):
            raise UsageError(f"link: no backend {self.backend!r}: expected {', '.join(BACKENDS)}")
        words = [self.seed, self.name, str(len(self.changes))]
        seed = None if self.seed is None else "/".join(word for word in words if word)
        try:
            self.router.apply(self.pair, asked, backend=self.backend, seed=seed, counted=counted)
        except LinkFailure:  # somebody else's settings: ``asked`` has replaced them
            self.changed(asked)
            raise
        self.changed(asked)

    def changed(self, asked: LinkSettings) -> None:
        """Notes that these settings are in force now."""
        status = self.router.in_force.link(self.pair) if self.router.in_force else None
        backend, seed = (status.backend, status.now["seed"]) if status and status.now else ("", "")
        self._settings = asked
        self.changes.append(Change(time.time(), asked, backend, seed, self.name))
        self.tell(LinkChanged, asked, backend, self.name)

    def counted_before(self, settings: LinkSettings) -> list[list[int]] | None:
        """The last counters of ``settings.drops``; None if these drops are in force now."""
        if self._settings is not None and self._settings.drops == settings.drops:
            return None
        return self._counted.get(settings.drops)

    def tell(self, kind: Callable[..., Event], *fields: Any) -> None:
        """Reports an event of the router."""
        self.router.observe(kind(time.time(), self.router.title, *fields))

    def _keep_effect(self, asked: RouterStatus, found: RouterStatus) -> None:
        """Keeps the counters of the settings that were requested last, if they are still in force."""
        status = found.link(self.pair)
        if not status.now or status.id != asked.link(self.pair).id:
            return
        if self.changes:
            self.changes[-1].delivered = status.delivered
        if len(status.now["drops"]) == len(status.settings.drops):
            self._counted[status.settings.drops] = status.now["drops"]
