"""The link between the segments: what is asked of it, done on the router, and proven by measuring.

Settings are data (lab/link/settings.py); the router's `impair` makes them true with the best backend
that its kernel has, and remembers them. So what holds is asked of the router, never assumed.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any

from lab.control.host import Host
from lab.control.link_measurement import failures, measure
from lab.errors import EnvironmentFailure, LabError, Unsupported, UsageError
from lab.evidence.events import Event, LinkChanged, LinkFailed, LinkMeasured, Measured, Note, Observe
from lab.link.settings import (
    BOTH,
    TO_CLIENTS,
    TO_SERVERS,
    Drop,
    Impairment,
    ImpairmentError,
    LinkSettings,
    expand,
)
from lab.link.traffic_control import BACKENDS

COMMAND = "sudo -n /usr/lib/socketlab/impair"
TIMEOUT = 20.0
ATTEMPTS = 5  # to measure: a machine that is busy for a moment makes packets late, whatever was set
QUICK = 200  # probes that show whether a direction is cut


class LinkFailure(LabError):
    """The link doesn't do what was asked of it. A run on such a link proves nothing."""


@dataclass
class Change:
    """One setting in force: since when, by which backend, what it measured, what it did to packets."""

    at: float
    asked: LinkSettings
    backend: str
    seed: str
    measured: Measured | None = None
    delivered: dict[str, Any] | None = None

    def to_dict(self) -> dict[str, Any]:
        measured = _measured_dict(self.measured) if self.measured is not None else None
        about = {"at": self.at, "backend": self.backend, "seed": self.seed, "asked": self.asked.as_json()}
        return about | {"measured": measured, "delivered": self.delivered}


@dataclass(frozen=True)
class Status:
    """What the router says: what it can do, what holds (None: nothing), and what that did so far."""

    can: dict[str, Any]
    now: dict[str, Any] | None

    @property
    def settings(self) -> LinkSettings:
        return LinkSettings.from_json(self.now["link"]) if self.now else LinkSettings()

    @property
    def backend(self) -> str:
        """The backend in use or, where nothing is set, the one that would be; "none" where there is none."""
        if self.now:
            return str(self.now["backend"])
        return next((name for name in BACKENDS if self.can[name]), "none")

    @property
    def alive(self) -> bool:
        """False where the program that held the packets has died: the link is cut then."""
        return self.now is None or bool(self.now["alive"])

    @property
    def delivered(self) -> dict[str, Any]:
        """Counters by direction, and of each Drop how many packets matched and how many it took."""
        return {key: self.now[key] for key in ("counts", "drops")} if self.now else {}


@dataclass
class Link:
    """``lab.link``. Each setting replaces the one before whole; a partition and the drops stand beside it.

    Without a setting the path is plain forwarding. In a run it is always healed at the end.
    """

    hosts: Sequence[Host]
    observe: Observe
    seed: str | None = None  # of all random choices; the run's. None: the one in force stays
    backend: str | None = None  # None: the one in force stays, else the best there is
    changes: list[Change] = field(default_factory=list)
    failure: str = ""  # what went wrong with the link in this run, first
    _settings: LinkSettings | None = None
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
        """Impairs the link in this way from now on; the other direction, if one is named, not at all.

        Seconds, shares 0–1, bit/s. With ``verify`` it returns when the link was measured, about 2 s later.
        Raises UsageError for what makes no sense, Unsupported for what no backend here can do, LinkFailure
        where the link doesn't do it.
        """
        with _named():
            asked = Impairment(delay, jitter, loss, duplication, reordering, corruption, rate)
            ways = dict.fromkeys(expand(direction), asked)
        self.set_each(ways.get(TO_SERVERS), ways.get(TO_CLIENTS), verify=verify)

    def set_each(
        self,
        to_servers: Impairment | None = None,
        to_clients: Impairment | None = None,
        *,
        verify: bool = True,
    ) -> None:
        """The same with an Impairment of its own for each direction (None: none)."""
        nothing = Impairment()
        asked = replace(self.settings, to_servers=to_servers or nothing, to_clients=to_clients or nothing)
        self._apply(asked, verify=verify)

    def partition(self, direction: str = BOTH, *, verify: bool = True) -> None:
        """Cuts the link both ways, or only one; ``heal`` ends it. Replaces an earlier partition."""
        with _named():
            cut = frozenset(expand(direction))
        self._apply(replace(self.settings, cut=cut), verify=verify, probes=QUICK)

    def heal(self, *, verify: bool = True) -> None:
        """Ends the partition; an impairment stays."""
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
        """Drops the ``nth`` packet (or packets, from 1) that matches from now on. Replaces an earlier drop.

        ``flags`` "SYN" or "SYN+ACK": TCP packets with exactly these of SYN, ACK, FIN and RST. What it
        took is in ``show().delivered``, and in the record.
        """
        with _named():
            numbers = (nth,) if isinstance(nth, int) else tuple(nth)
            drop = Drop(numbers, protocol, port, flags, direction)
        self._apply(replace(self.settings, drops=(drop,)), verify=False)

    def clear(self) -> None:
        """Ends everything: impairment, partition, drops."""
        self._apply(LinkSettings(), verify=False)

    @contextmanager
    def impaired(self, **asked: Any) -> Iterator[None]:
        """``set`` while the context lasts."""
        try:
            self.set(**asked)
            yield
        finally:
            self._restore(to_servers=Impairment(), to_clients=Impairment())

    @contextmanager
    def partitioned(self, direction: str = BOTH, *, verify: bool = True) -> Iterator[None]:
        """``partition`` while the context lasts."""
        try:
            self.partition(direction, verify=verify)
            yield
        finally:
            self._restore(cut=frozenset())

    @contextmanager
    def dropping(self, nth: int | Iterable[int], **match: Any) -> Iterator[None]:
        """``drop`` while the context lasts."""
        try:
            self.drop(nth, **match)
            yield
        finally:
            self._restore(drops=())

    def show(self) -> Status:
        """What the router says now. Raises LinkFailure where what was set doesn't hold any more."""
        answer = self._ask({"op": "show"})
        self._expect(answer["before"])
        return Status(answer["can"], answer["now"])

    def verify(self, probes: int | None = None) -> Measured:
        """Measures what the link does now. It may be measured again where it isn't what was asked.

        Raises LinkFailure where the probes can't be sent, but not for what they say: see ``failures``.
        """
        asked = self.settings
        for attempt in range(ATTEMPTS):
            measured = measure(*self._ends(), asked, probes)
            if not failures(measured) or attempt == ATTEMPTS - 1:
                break
        self.show()
        if self.changes and self.changes[-1].asked == asked:
            self.changes[-1].measured = measured
        self._tell(LinkMeasured, measured)
        return measured

    @property
    def settings(self) -> LinkSettings:
        """What is asked of the link at the moment."""
        if self._settings is None:
            self._settings = self.show().settings
        return self._settings

    def begin(self, seed: str) -> None:
        """The start of a run: what an earlier one may have left is cleared."""
        self.seed, self.backend, self.changes, self.failure, self._settings = seed, None, [], "", None
        if self._router() is None:
            self._settings = LinkSettings()
        else:
            left = self.show().now
            self._settings = LinkSettings()
            if left:
                self._request(LinkSettings())
                self._tell(LinkChanged, LinkSettings())
                self._tell(Note, "link: an earlier run had left its settings; they were cleared")

    def end(self) -> None:
        """The end of a run: clears the link, and keeps what it did. What fails is in ``failure``."""
        try:
            if self._settings is None or not self._settings.is_nothing:
                self.clear()
        except LabError as error:
            self.failure = self.failure or str(error)

    def to_dict(self) -> dict[str, Any] | None:
        """What the record says of the link. None where the lab has no router."""
        if self._router() is None:
            return None
        return {"backend": self._backend, "changes": [change.to_dict() for change in self.changes]}

    def _apply(self, asked: LinkSettings, *, verify: bool, probes: int | None = None) -> None:
        answer = self._request(asked)
        now = answer["now"]
        self._settings = asked
        backend = now["backend"] if now else ""
        self.changes.append(Change(time.time(), asked, backend, now["seed"] if now else ""))
        self._tell(LinkChanged, asked, backend)
        if not verify:
            return
        if wrong := failures(self.verify(probes)):
            raise self._failed("the link doesn't do what was asked: " + "; ".join(wrong))

    def _restore(self, **healed: Any) -> None:
        """Ends one thing and leaves the others. Where that can't be done, all is cleared, and it is told."""
        self._apply(replace(self.settings, **healed), verify=False)

    def _request(self, asked: LinkSettings) -> dict[str, Any]:
        router = self._router()
        if router is None:
            raise Unsupported("this lab has no router whose link could be impaired")
        if self.backend not in (None, *BACKENDS):
            raise UsageError(f"link: no backend {self.backend!r}; there are {', '.join(BACKENDS)}")
        addresses = dict(zip(router.node.segments, router.node.addresses, strict=True))
        request = {"op": "apply", "interfaces": addresses, "link": asked.as_json(), "backend": self.backend}
        seed = None if self.seed is None else f"{self.seed}/{len(self.changes)}"
        answer = self._ask(request | {"seed": seed})
        if "unsupported" in answer:
            missing = ", ".join(answer["unsupported"])
            raise Unsupported(f"the link's backend here ({answer['backend']}) can't do: {missing}")
        self._expect(answer["before"])
        return answer

    def _ask(self, request: dict[str, Any]) -> dict[str, Any]:
        """One request to the router's `impair`."""
        router = self._router()
        if router is None:
            raise Unsupported("this lab has no router whose link could be impaired")
        result = router.ask(COMMAND, stdin=json.dumps(request) + "\n", timeout=TIMEOUT)
        if not result.output:
            why = (result.stderr.strip() or result.ending).splitlines()[-1]
            raise EnvironmentFailure(f"{router.title}: {why}")
        answer: dict[str, Any] = json.loads(result.output)
        self._backend = Status(answer["can"], None).backend if self.backend is None else self.backend
        return answer

    def _expect(self, found: dict[str, Any] | None) -> None:
        """Notes what the settings before did, and fails where they didn't hold until now."""
        if self.changes and found and found["since"] and self.changes[-1].asked.as_json() == found["link"]:
            self.changes[-1].delivered = Status({}, found).delivered
        if self._settings is None or self._settings.is_nothing:
            return
        if found is None:
            self._settings = LinkSettings()
            raise self._failed("the router was restarted, and what was asked of the link is gone")
        if not found["alive"]:
            self._settings = None
            raise self._failed("the program that impairs the link has died; since then the link was cut")

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

    def _ends(self) -> tuple[Host, Host]:
        """A host of the clients' segment and one of the servers'."""
        ends = [
            next((h for h in self.hosts if h.node.role == "host" and segment in h.node.segments), None)
            for segment in ("clients", "servers")
        ]
        client, server = ends
        if client is None or server is None:
            raise Unsupported("measuring the link takes a host on each segment")
        return client, server


def _measured_dict(measured: Measured) -> dict[str, Any]:
    return {way: [check.as_json() for check in checks] for way, checks in measured.items()}


@contextmanager
def _named() -> Iterator[None]:
    """What makes no sense is the user's mistake, told by its name."""
    try:
        yield
    except ImpairmentError as error:
        raise UsageError(f"link: {error}") from None
