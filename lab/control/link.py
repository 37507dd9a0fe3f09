"""The link between the segments, as a scenario drives it: impaired on the router, and verified by measuring.

Settings are data (lab/link/settings.py). The router's `impair` puts them in force with the best backend that
its kernel has. They are read back at every step, so that a change from outside the run is noticed.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any

from lab.control.host import Host
from lab.control.link_measurement import failures, measure
from lab.control.link_state import LinkFailure, RouterLink, Status, difference
from lab.errors import LabError, Unsupported, UsageError
from lab.evidence.events import Event, LinkChanged, LinkFailed, LinkMeasured, Measured, Note, Observe
from lab.link.errors import ImpairmentError
from lab.link.settings import BOTH, Drop, Impairment, LinkSettings, directions_to, expand
from lab.link.traffic_control import BACKENDS
from lab.link.verification import ATTEMPTS, Attempt

QUICK = 200  # probes that show whether a direction is cut


@dataclass
class Change:
    """One setting in force: since when, by which backend, how it was measured, what it did to packets."""

    at: float
    asked: LinkSettings
    backend: str
    seed: str
    attempts: list[Attempt] = field(default_factory=list)  # to measure it; the last one decided
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
class Link:
    """``lab.link``. Each impairment replaces the one before; a partition and drops are independent of it.

    Without settings the router just forwards. At the end of a run the link is cleared.
    """

    hosts: Sequence[Host]
    observe: Observe
    seed: str | None = None  # of all random choices. None: the one in force stays
    backend: str | None = None  # None: the one in force stays, or else the best there is
    changes: list[Change] = field(default_factory=list)
    failure: str = ""  # the first problem of the link in this run
    _settings: LinkSettings | None = None  # None: not known yet
    _in_force: Status | None = None  # the router's last answer; None: not known
    _counted: dict[tuple[Drop, ...], list[list[int]]] = field(default_factory=dict)
    _backend: str = ""

    def set(
        self,
        *,
        delay: float = 0.0,
        jitter: float = 0.0,
        loss: float = 0.0,
        duplication: float = 0.0,
        reordering: float = 0.0,
        corruption: float = 0.0,
        rate: float | None = None,
        direction: str = BOTH,
        verify: bool = True,
    ) -> None:
        """Impairs the link from now on. If one direction is named, the others are not impaired.

        Durations are in seconds, shares in 0–1, the rate in bit/s. A direction is "to-SEGMENT". With
        ``verify`` the link is measured, which takes about 2 s. Raises UsageError for an invalid setting,
        Unsupported if no backend here can do it, and LinkFailure if the link doesn't do it.
        """
        self._require_router()
        with _invalid_settings():
            asked = Impairment(delay, jitter, loss, duplication, reordering, corruption, rate)
            impairments = dict.fromkeys(expand(direction, self.directions), asked)
        self.set_each(impairments, verify=verify)

    def set_each(self, impairments: Mapping[str, Impairment], *, verify: bool = True) -> None:
        """Like ``set``, with an Impairment for each direction; a direction without one is not impaired."""
        self._require_router()
        with _invalid_settings():
            LinkSettings(impairments).check_directions(self.directions)
        every = {way: impairments.get(way, Impairment()) for way in self.directions}
        self._apply(replace(self.settings, impairments=every), verify=verify)

    def partition(self, direction: str = BOTH, *, verify: bool = True) -> None:
        """Cuts the link in both directions or in one, until ``heal``. Replaces an earlier partition."""
        self._require_router()
        with _invalid_settings():
            cut = frozenset(expand(direction, self.directions))
        self._apply(replace(self.settings, cut=cut), verify=verify, probes=QUICK)

    def heal(self, *, verify: bool = True) -> None:
        """Ends the partition. An impairment stays."""
        self._apply(replace(self.settings, cut=frozenset()), verify=verify, probes=QUICK)

    def drop(
        self,
        nth: int | Iterable[int],
        *,
        protocol: str | None = None,
        port: int | None = None,
        flags: str | None = None,
        direction: str = BOTH,
    ) -> None:
        """Drops the ``nth`` matching packets (from 1), counted from now on. Replaces an earlier drop.

        ``flags`` "SYN" or "SYN+ACK" matches TCP packets with exactly these of SYN, ACK, FIN and RST. The
        numbers of packets that matched and were dropped are in ``show().delivered`` and in the record.
        """
        self._require_router()
        with _invalid_settings():
            numbers = (nth,) if isinstance(nth, int) else tuple(nth)
            drop = Drop(numbers, protocol, port, flags, direction)
            expand(direction, self.directions)
        self._apply(replace(self.settings, drops=(drop,)), verify=False, counted=[[0, 0]])

    def clear(self) -> None:
        """Ends everything: impairment, partition, drops."""
        self._apply(LinkSettings(), verify=False)

    @contextmanager
    def impaired(self, **asked: Any) -> Iterator[None]:
        """``set`` for the duration of the context; then the impairment before it holds again."""
        with self._restored("impairments"):
            self.set(**asked)
            yield

    @contextmanager
    def partitioned(self, direction: str = BOTH, *, verify: bool = True) -> Iterator[None]:
        """``partition`` for the duration of the context; then the partition before it holds again."""
        with self._restored("cut"):
            self.partition(direction, verify=verify)
            yield

    @contextmanager
    def dropping(self, nth: int | Iterable[int], **match: Any) -> Iterator[None]:
        """``drop`` for the duration of the context; then the drop before it goes on counting."""
        with self._restored("drops"):
            self.drop(nth, **match)
            yield

    def show(self) -> Status:
        """The settings in force. Raises LinkFailure if they aren't the ones that were asked for."""
        found = self._require_router().show()
        self._compare(found)
        self._note_backend(found)
        return found

    def verify(self, probes: int | None = None) -> Attempt:
        """Measures the link, several times if the machine is busy, and returns the attempt that decides.

        All attempts are kept. Raises LinkFailure if the settings were changed, and LabError if the probes
        can't be sent; the attempt itself says what is wrong (``wrong``).
        """
        asked = self.settings
        for number in range(ATTEMPTS):
            attempt = measure(self._receivers(), asked, probes)
            if self.changes and self.changes[-1].asked == asked:
                self.changes[-1].attempts.append(attempt)
            self._tell(LinkMeasured, attempt.measured)
            self.show()
            if attempt.decides:
                break
            if number < ATTEMPTS - 1:
                self._tell(Note, "link: the machine was too busy for the probes; it is measured again")
        return attempt

    @property
    def directions(self) -> tuple[str, ...]:
        """The directions of this lab: "to-SEGMENT" for each segment of the router."""
        router = self._router()
        return directions_to(router.node.segments) if router else ()

    @property
    def settings(self) -> LinkSettings:
        """The settings that were asked for last."""
        if self._settings is None:
            self._settings = self.show().settings
        return self._settings

    def begin(self, seed: str) -> None:
        """Begins a run: the settings that an earlier one may have left are cleared."""
        self.seed, self.backend, self.changes, self.failure = seed, None, [], ""
        self._settings, self._in_force, self._counted = LinkSettings(), None, {}
        if self._router() is not None and self.show().now:
            self._request(LinkSettings())
            self._tell(LinkChanged, LinkSettings())
            self._tell(Note, "link: an earlier run had left its settings; they were cleared")

    def end(self) -> None:
        """Ends a run: compares the settings a last time and clears them. A problem is kept in ``failure``."""
        if self._router() is None:
            return
        try:
            if self._in_force is not None and self.settings.is_nothing:
                self.show()
            else:
                self.clear()
        except LabError as error:
            self.failure = self.failure or str(error)

    def to_dict(self) -> dict[str, Any] | None:
        """The link's part of the record. None if the lab has no router."""
        if self._router() is None:
            return None
        return {"backend": self._backend, "changes": [change.to_dict() for change in self.changes]}

    def _apply(
        self,
        asked: LinkSettings,
        *,
        verify: bool,
        probes: int | None = None,
        counted: list[list[int]] | None = None,
    ) -> None:
        self._request(asked, counted, keep=True)
        if not verify:
            return
        attempt = self.verify(probes)
        if attempt.wrong:
            again = "" if attempt.decides else f" (measured {ATTEMPTS} times on a busy machine)"
            raise self._failed("the link doesn't do what was asked: " + "; ".join(failures(attempt)) + again)

    def _request(
        self, asked: LinkSettings, counted: list[list[int]] | None = None, *, keep: bool = False
    ) -> None:
        """Puts ``asked`` in force, and fails if the settings until now weren't the ones in force."""
        router = self._require_router()
        if self.backend not in (None, *BACKENDS):
            raise UsageError(f"link: no backend {self.backend!r}: expected {', '.join(BACKENDS)}")
        seed = None if self.seed is None else f"{self.seed}/{len(self.changes)}"
        try:
            before, now = router.apply(asked, backend=self.backend, seed=seed, counted=counted)
        except Unsupported:
            raise
        except LabError as error:  # it is not known what is in force now
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

    @contextmanager
    def _restored(self, part: str) -> Iterator[None]:
        """Afterwards this part of the settings is again what it was, and the other parts stay."""
        before = getattr(self.settings, part)
        try:
            yield
        finally:
            if getattr(self.settings, part) != before:
                restored = replace(self.settings, **{part: before})
                self._apply(restored, verify=False, counted=self._counted_before(restored))

    def _counted_before(self, settings: LinkSettings) -> list[list[int]] | None:
        """The counters of drops that were in force before; None if they are in force now."""
        if self._settings is not None and self._settings.drops == settings.drops:
            return None
        return self._counted.get(settings.drops)

    def _compare(self, found: Status) -> None:
        """Notes what the settings did until now. Raises LinkFailure if they aren't in force any more."""
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

    def _note_backend(self, status: Status) -> None:
        self._backend = self.backend or Status(status.can, None).backend

    def _failed(self, why: str) -> LinkFailure:
        self.failure = self.failure or why
        self._tell(LinkFailed, why)
        return LinkFailure(why)

    def _tell(self, kind: Callable[..., Event], *fields: Any) -> None:
        """Passes on an event of the router, or of the lab if it has none."""
        router = self._router()
        self.observe(kind(time.time(), router.title if router else "lab", *fields))

    def _router(self) -> Host | None:
        return next((host for host in self.hosts if host.node.role == "router"), None)

    def _require_router(self) -> RouterLink:
        router = self._router()
        if router is None:
            raise Unsupported("this lab has no router whose link could be impaired")
        return RouterLink(router)

    def _receivers(self) -> dict[str, Host]:
        """For each direction a host on the segment that its packets go to."""
        router = self._require_router()
        hosts = [host for host in self.hosts if host.node.role == "host"]
        found = {
            way: next((host for host in hosts if segment in host.node.segments), None)
            for way, segment in zip(self.directions, router.segments, strict=True)
        }
        receivers = {way: host for way, host in found.items() if host is not None}
        if len(receivers) != 2 or len(found) != 2:
            raise Unsupported("measuring the link takes a router with two segments and a host on each")
        return receivers


@contextmanager
def _invalid_settings() -> Iterator[None]:
    """An invalid setting is the user's mistake."""
    try:
        yield
    except ImpairmentError as error:
        raise UsageError(f"link: {error}") from None
