"""``lab.link``: all links of a lab. It is itself the link if there is only one."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from functools import partial
from itertools import combinations
from typing import Any, TypeVar

from lab.control.host import Host, titles
from lab.control.link.link import Link
from lab.control.link.partition import Partition, Sets, partitioned, planned
from lab.control.link.probing import Probing, hosts_of_link
from lab.control.link.router import Status
from lab.control.link.router_session import RouterSession
from lab.control.link.settings_session import Change, LinkSession
from lab.errors import Unsupported, UsageError
from lab.evidence.events import LinkChanged, Note, Observe
from lab.link.partition import Partition as Settings
from lab.link.settings import LinkSettings
from lab.locale import message

T = TypeVar("T")

NO_ROUTER = message("this lab has no router whose link could be impaired")


class Links(Link):
    """``lab.link``. ``lab.link(a, b)`` is the link between two segments.

    If the lab has only one link, all methods are those of this link. Otherwise they raise UsageError, which
    lists the links; ``clear``, ``changes`` and ``failure`` then concern all of them.
    """

    def __init__(self, hosts: Sequence[Host], observe: Observe) -> None:
        self.hosts = hosts
        self.routers = [RouterSession(host, observe) for host in hosts if host.node.role == "router"]
        self.sessions = [
            LinkSession(router, pair) for router in self.routers for pair in combinations(router.segments, 2)
        ]
        self.partitions: list[Partition] = []  # of this run
        self._probing = self._hosts_of
        if len(self.sessions) > 1:
            for session in self.sessions:
                session.router.names[session.pair] = self._name(session)

    def __call__(self, a: str | Host, b: str | Host, *, router: str | Host | None = None) -> Link:
        """The link between two segments, or between the segments of two hosts.

        ``router`` chooses if several routers join the segments. Raises UsageError if there is no such link,
        or several.
        """
        first, second = self._segments(a), self._segments(b)
        wanted = {frozenset((x, y)) for x in first for y in second}
        found = [
            session
            for session in self.sessions
            if frozenset(session.pair) in wanted
            and router in (None, session.router.router, *session.router.router.node.names)
        ]
        if len(found) != 1:
            raise self._no_single_link(first, second, found)
        return self._link(found[0])

    @property
    def links(self) -> tuple[Link, ...]:
        """Every link of the lab. Each has the methods of this class."""
        return tuple(self._link(session) for session in self.sessions)

    @property
    def changes(self) -> list[Change]:
        """The settings of all links in this run so far, in the order of time."""
        if len(self.sessions) == 1:
            return self.sessions[0].changes
        return sorted((c for session in self.sessions for c in session.changes), key=lambda c: c.at)

    @property
    def failure(self) -> str:
        """The first problem of a router in this run."""
        return next((router.failure for router in self.routers if router.failure), "")

    @property
    def _session(self) -> LinkSession:
        """The only link. Raises UsageError if there are several, Unsupported if there is none."""
        if not self.sessions:
            raise Unsupported(NO_ROUTER)
        if len(self.sessions) > 1:
            raise UsageError(
                message(
                    "this lab has several links: choose one with lab.link(a, b): {links}",
                    links=self._listed(self.sessions),
                )
            )
        return self.sessions[0]

    def separate(self, sets: Sets, *, one_way: bool, verify: bool) -> AbstractContextManager[Partition]:
        """``lab.partition``: the hosts of different sets can't reach each other while the context lasts."""
        if not self.routers:
            raise Unsupported(NO_ROUTER)
        self.partitions.append(planned(sets, self.hosts, self.routers, one_way=one_way))
        return partitioned(self.partitions[-1], self.hosts, verify=verify)

    def clear(self) -> None:
        """Removes all settings of all links, and all partitions."""
        if not self.sessions:
            raise Unsupported(NO_ROUTER)
        for router in self.routers:
            self._clear(router)

    def status(self) -> dict[str, Status]:
        """The settings in force of every link, by its name. Raises LinkFailure like ``show``."""
        shown = dict(zip(self.routers, self._on_each(RouterSession.show), strict=True))
        return {self._name(each): shown[each.router].link(each.pair) for each in self.sessions}

    @property
    def partitions_in_force(self) -> list[str]:
        """The partitions of the routers' last answers, by the titles of their hosts: "alice | bob"."""
        states = [state for router in self.routers for state in router.current().partitions.values()]
        found = (Settings.from_json(state["partition"]).describe(titles(self.hosts)) for state in states)
        return list(dict.fromkeys(found))

    def begin(self, seed: str) -> None:
        """Begins a run: clears settings that are left over from an earlier one."""
        self.partitions = []
        for router, left in zip(self.routers, self._on_each(RouterSession.begin), strict=True):
            router.partition_effects.clear()
            for session in self._of(router):
                session.begin(seed)
                if session.pair in left.links:
                    session.tell(LinkChanged, LinkSettings(), "", session.name)
            if not left.is_nothing:
                self._of(router)[0].tell(
                    Note, "link: an earlier run had left its settings; they were cleared"
                )

    def end(self) -> None:
        """Ends a run: compares the settings a last time and clears them. ``failure`` is set on a problem."""
        self._on_each(lambda router: router.end(partial(self._clear, router)))

    def to_dict(self) -> dict[str, Any] | None:
        """The links' part of the record. None if the lab has no router."""
        if not self.sessions:
            return None
        backend = next((session.used_backend for session in self.sessions if session.used_backend), "")
        about = {"backend": backend, "changes": [change.to_dict() for change in self.changes]}
        partitions = [partition.to_dict() for partition in self.partitions]
        return about | ({"partitions": partitions} if partitions else {})

    def _clear(self, router: RouterSession) -> None:
        """Clears one router, and notes it for each of its links that had settings."""
        before = router.in_force
        try:
            router.clear()
        finally:
            for session in self._of(router):
                left = session.may_have_settings if before is None else session.pair in before.links
                if left or len(self.sessions) == 1:
                    session.changed(LinkSettings())

    def _on_each(self, step: Callable[[RouterSession], T]) -> list[T]:
        """Does this on all routers at once. Raises the exception of the first that failed."""
        with ThreadPoolExecutor(max_workers=max(1, len(self.routers))) as pool:
            return list(pool.map(step, self.routers))

    def _of(self, router: RouterSession) -> list[LinkSession]:
        return [session for session in self.sessions if session.router is router]

    def _link(self, session: LinkSession) -> Link:
        return Link(session, self._hosts_of)

    def _hosts_of(self, session: LinkSession) -> Probing:
        return hosts_of_link(self.hosts, session, self.sessions)

    def _segments(self, end: str | Host) -> tuple[str, ...]:
        """The segments that ``end`` stands for: a segment, or those of a host."""
        if isinstance(end, Host):
            return end.node.segments
        known = {segment: (segment,) for host in self.hosts for segment in host.node.segments}
        named = {name: host.node.segments for host in self.hosts for name in host.node.names}
        if found := known.get(end) or named.get(end):
            return found
        raise UsageError(
            message(
                "no segment or host {name!r}; there are {known}",
                name=end,
                known=", ".join({**known, **named}),
            )
        )

    def _no_single_link(
        self, first: Sequence[str], second: Sequence[str], found: Sequence[LinkSession]
    ) -> UsageError:
        ends = {"a": ", ".join(first), "b": ", ".join(second)}
        if len(found) > 1:
            text = message(
                "several links join {a} and {b}: {links}; choose one by its segments or by router=",
                **ends,
                links=self._listed(found),
            )
        elif set(first) & set(second):
            text = message("no router is between {a} and {b}: they share a segment", **ends)
        elif between := self._links_between(first, second):
            text = message(
                "no single router joins {a} and {b}; the links on the way are {links}",
                **ends,
                links=self._listed(between),
            )
        else:
            text = message(
                "no router joins {a} and {b}; the links are {links}",
                **ends,
                links=self._listed(self.sessions),
            )
        return UsageError(text)

    def _links_between(self, first: Sequence[str], second: Sequence[str]) -> list[LinkSession]:
        """The links on a shortest way between these segments; [] if there is none."""
        reached: dict[str, list[LinkSession]] = {segment: [] for segment in first}
        waiting = list(reached)
        for segment in waiting:
            if segment in second:
                return reached[segment]
            for session in self.sessions:
                if segment in session.pair:
                    other = session.pair[session.pair[0] == segment]
                    if other not in reached:
                        reached[other] = [*reached[segment], session]
                        waiting.append(other)
        return []

    def _name(self, session: LinkSession) -> str:
        """ "office–servers", with the router's title if several routers join these segments."""
        same = [each for each in self.sessions if set(each.pair) == set(session.pair)]
        return "–".join(session.pair) + (f" ({session.router.title})" if len(same) > 1 else "")

    def _listed(self, sessions: Iterable[LinkSession]) -> str:
        return ", ".join(self._name(session) for session in sessions)
