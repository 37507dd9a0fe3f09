"""A link, the interface for scenarios: impairs it on its router, and verifies that by measuring.

A link is a pair of segments that a router joins. Settings are data (lab/link/settings.py). The agent of the
router applies them with the best backend that its kernel supports.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

from lab.control.link.measurement import failures, measure
from lab.control.link.probing import Probing
from lab.control.link.router import Status
from lab.control.link.settings_session import Change, LinkSession
from lab.errors import UsageError
from lab.evidence.events import LinkMeasured, Note
from lab.link.errors import ImpairmentError
from lab.link.settings import BOTH, Drop, Impairment, LinkSettings, expand
from lab.link.verification import ATTEMPTS, Attempt

QUICK = 200  # probes that show whether a direction is cut


class Link:
    """One link. Each impairment replaces the previous one; a partition and drops are independent of it.

    Without settings the router only forwards. The link is cleared at the end of a run.
    """

    def __init__(self, session: LinkSession, probing: Callable[[LinkSession], Probing]) -> None:
        """``probing`` selects the hosts that measure the link. It raises Unsupported if there are none."""
        self._own = session
        self._probing = probing

    @property
    def _session(self) -> LinkSession:
        return self._own

    @property
    def segments(self) -> tuple[str, str]:
        """The two segments that it joins."""
        return self._session.pair

    @property
    def name(self) -> str:
        """ "office–servers"."""
        return self._session.name or "–".join(self.segments)

    @property
    def directions(self) -> tuple[str, ...]:
        """Its directions: "to-SEGMENT" for each of its segments."""
        return self._session.directions

    @property
    def settings(self) -> LinkSettings:
        """The settings that were requested last."""
        return self._session.settings

    @property
    def changes(self) -> list[Change]:
        """The settings of this run so far."""
        return self._session.changes

    @property
    def failure(self) -> str:
        """The first problem of its router in this run."""
        return self._session.router.failure

    @property
    def seed(self) -> str | None:
        """The seed of all random choices; None keeps the current one."""
        return self._session.seed

    @seed.setter
    def seed(self, seed: str | None) -> None:
        self._session.seed = seed

    @property
    def backend(self) -> str | None:
        """The backend to use; None keeps the current one, or selects the best one that works."""
        return self._session.backend

    @backend.setter
    def backend(self, backend: str | None) -> None:
        self._session.backend = backend

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
        """Impairs the link from now on. If one direction is named, the other is not impaired.

        Durations are in seconds, shares in 0–1, the rate in bit/s. A direction is "to-SEGMENT". With
        ``verify`` the link is measured, which takes about 2 s. Raises UsageError for an invalid setting,
        Unsupported if no available backend supports it, and LinkFailure if the measurement contradicts it.
        """
        with _invalid_settings():
            asked = Impairment(delay, jitter, loss, duplication, reordering, corruption, rate)
            impairments = dict.fromkeys(expand(direction, self.directions), asked)
        self.set_each(impairments, verify=verify)

    def set_each(self, impairments: Mapping[str, Impairment], *, verify: bool = True) -> None:
        """Like ``set``, with an Impairment for each direction; a direction without one is not impaired."""
        with _invalid_settings():
            LinkSettings(impairments).check_directions(self.directions)
        every = {way: impairments.get(way, Impairment()) for way in self.directions}
        self._apply(replace(self.settings, impairments=every), verify=verify)

    def partition(self, direction: str = BOTH, *, verify: bool = True) -> None:
        """Cuts the link in both directions or in one, until ``heal``. Replaces an earlier partition."""
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
        with _invalid_settings():
            numbers = (nth,) if isinstance(nth, int) else tuple(nth)
            drop = Drop(numbers, protocol, port, flags, direction)
            expand(direction, self.directions)
        self._apply(replace(self.settings, drops=(drop,)), verify=False, counted=[[0, 0]])

    def clear(self) -> None:
        """Removes all settings: the impairment, the partition and the drops."""
        self._session.request(LinkSettings())

    @contextmanager
    def impaired(self, **asked: Any) -> Iterator[None]:
        """``set`` for the duration of the context; then the previous impairment is restored."""
        with self._restored("impairments"):
            self.set(**asked)
            yield

    @contextmanager
    def partitioned(self, direction: str = BOTH, *, verify: bool = True) -> Iterator[None]:
        """``partition`` for the duration of the context; then the previous partition is restored."""
        with self._restored("cut"):
            self.partition(direction, verify=verify)
            yield

    @contextmanager
    def dropping(self, nth: int | Iterable[int], **match: Any) -> Iterator[None]:
        """``drop`` for the duration of the context; then the previous drop continues to count."""
        with self._restored("drops"):
            self.drop(nth, **match)
            yield

    def show(self) -> Status:
        """The settings in force. Raises LinkFailure if those of its router differ from the requested ones."""
        return self._session.show()

    def verify(self, probes: int | None = None) -> Attempt:
        """Measures the link, repeatedly if the machine is busy, and returns the decisive attempt.

        All attempts are kept. The attempt's ``wrong`` lists the checks that failed. Raises LinkFailure if the
        settings were changed, Unsupported if no two hosts can measure this link, and LabError if the probes
        can't be sent.
        """
        session, asked = self._session, self.settings
        probing = self._probing(session)
        for number in range(ATTEMPTS):
            attempt = measure(probing, asked, probes)
            if self.changes and self.changes[-1].asked == asked:
                self.changes[-1].attempts.append(attempt)
            session.tell(LinkMeasured, attempt.measured, session.name)
            self.show()
            if attempt.decides:
                break
            if number < ATTEMPTS - 1:
                session.tell(Note, "link: the machine was too busy for the probes; it is measured again")
        return attempt

    def _apply(
        self,
        asked: LinkSettings,
        *,
        verify: bool,
        probes: int | None = None,
        counted: list[list[int]] | None = None,
    ) -> None:
        if verify:
            self._probing(self._session)  # raises before anything changes
        self._session.request(asked, counted)
        if not verify:
            return
        attempt = self.verify(probes)
        if attempt.wrong:
            again = "" if attempt.decides else f" (measured {ATTEMPTS} times on a busy machine)"
            why = "the link doesn't behave as requested: " + "; ".join(failures(attempt)) + again
            raise self._session.router.failed(why, self.segments)

    @contextmanager
    def _restored(self, part: str) -> Iterator[None]:
        """Restores one part of the settings at the end of the context; the other parts stay."""
        before = getattr(self.settings, part)
        try:
            yield
        finally:
            if getattr(self.settings, part) != before:
                restored = replace(self.settings, **{part: before})
                self._apply(restored, verify=False, counted=self._session.counted_before(restored))


@contextmanager
def _invalid_settings() -> Iterator[None]:
    """Converts ImpairmentError to UsageError."""
    try:
        yield
    except ImpairmentError as error:
        raise UsageError(f"link: {error}") from None
