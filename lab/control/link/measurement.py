"""Measures the link: two hosts send each other probes, whose arrivals are compared with the settings."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import replace
from typing import Any

from lab.control.host import Host
from lab.control.link.probing import Probing
from lab.errors import LabError
from lab.link.probe_format import INTERVAL, Observation, Plan, longest_transit, plan
from lab.link.settings import LinkSettings
from lab.link.verification import Attempt, Check, judge, unmeasured

STEP_TIMEOUT = 10.0
OPEN_TIMEOUT = 2.0  # for a packet to cross a router that translates addresses
SEND_TIMEOUT = 30.0
NOTHING = Plan(0, INTERVAL, 0)
NOT_OPENED = "not measured: a router translates addresses, and no packet from behind it has arrived"


def measure(probing: Probing, asked: LinkSettings, probes: int | None = None) -> Attempt:
    """Sends probes in both directions at once, and compares the arrivals with ``asked``.

    ``probes`` limits their number. Raises EnvironmentFailure, or HostTimeout, if the probes can't be sent.
    """
    started = time.time()
    directions = sorted(
        (probing.out, probing.back), key=[*asked.impairments, probing.out, probing.back].index
    )
    plans = {way: _plan(asked, way, probes) for way in directions}
    transit = max(longest_transit(asked[way]) for way in directions)
    with _probe(probing.second, probing.source) as second:
        with _probe(probing.first, probing.target, opens=probing.translated) as first:
            if probing.translated and not second.is_reached(OPEN_TIMEOUT + transit):
                plans[probing.back] = NOTHING
            senders = {probing.out: first, probing.back: second}
            with ThreadPoolExecutor(max_workers=2) as pool:
                sending = {way: pool.submit(side.send, plans[way]) for way, side in senders.items()}
            sent = {way: job.result() for way, job in sending.items()}
            # There is no event to wait for: the last packets may be in transit for this long.
            time.sleep(transit)
            receivers = {probing.out: second, probing.back: first}
            arrived = {way: side.stop() for way, side in receivers.items()}
    seen = {way: _observation(plans[way], sent[way], arrived[way]) for way in directions}
    measured = {way: _judge(asked, way, seen[way]) for way in directions}
    return Attempt(started, measured, any(observation.is_disturbed for observation in seen.values()))


def _judge(asked: LinkSettings, way: str, seen: Observation) -> list[Check]:
    if not seen.sent:
        return [unmeasured(asked[way], way in asked.cut, NOT_OPENED)]
    return judge(asked[way], seen, cut=way in asked.cut)


def failures(attempt: Attempt) -> list[str]:
    """A sentence for each value that differs from its setting."""
    return [
        f"{way} {check.what}: asked {check.show(check.asked)}, measured {check.show(check.measured)}"
        f" ({check.show(check.low)} … {check.show(check.high)})"
        for way, check in attempt.wrong
    ]


class _Side:
    """The probe on one host."""

    def __init__(self, host: Host) -> None:
        self._agent = host.agent

    def listen(self, peer: str, *, opens: bool) -> None:
        """``opens``: it sends datagrams until the peer has answered."""
        self._step("listen", peer=peer, opens=opens)

    def is_reached(self, timeout: float) -> bool:
        """True if a datagram of the peer arrives within ``timeout`` seconds."""
        return bool(self._step("opened", timeout + STEP_TIMEOUT, seconds=timeout)["opened"])

    def send(self, planned: Plan) -> dict[str, Any]:
        return self._step("send", SEND_TIMEOUT, **planned.as_json())

    def stop(self) -> dict[str, Any]:
        """Everything that has arrived."""
        return self._step("stop")

    def abandon(self) -> None:
        """Ends the probe, if it still runs."""
        with suppress(LabError):
            self._step("abandon")

    def _step(self, step: str, limit: float = STEP_TIMEOUT, **arguments: Any) -> dict[str, Any]:
        return self._agent.request("probe", timeout=limit, step=step, **arguments)


@contextmanager
def _probe(host: Host, peer: str, *, opens: bool = False) -> Iterator[_Side]:
    side = _Side(host)
    try:
        side.listen(peer, opens=opens)
        yield side
    finally:
        side.abandon()


def _plan(asked: LinkSettings, way: str, probes: int | None) -> Plan:
    whole = plan(asked[way])
    return whole if probes is None else replace(whole, count=min(probes, whole.count), train=0)


def _observation(planned: Plan, sent: Mapping[str, Any], arrived: Mapping[str, Any]) -> Observation:
    return Observation(
        sent=planned.count,
        arrivals=[(number, micros / 1e6) for number, micros in arrived["arrivals"]],
        corrupted=arrived["corrupted"],
        train_bytes=arrived["train_bytes"],
        train_seconds=arrived["train_seconds"],
        offered=sent["offered"],
        late=sent["late"],
        overflowed=arrived["overflowed"],
    )
