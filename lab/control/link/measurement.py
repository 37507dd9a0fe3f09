"""Measures the link: runs a probe program on each side and compares the arrivals with the settings."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

from lab.control.host import Host
from lab.control.link.probing import Probing
from lab.control.process import agent
from lab.errors import EnvironmentFailure, HostTimeout
from lab.link.probe_format import INTERVAL, Observation, Plan, longest_transit, plan
from lab.link.settings import LinkSettings
from lab.link.verification import Attempt, Check, judge, unmeasured

START_TIMEOUT = 10.0
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
        second.wait_for("listening", START_TIMEOUT)
        opening = " --open" if probing.translated else ""
        with _probe(probing.first, f"{probing.target}{opening}") as first:
            first.wait_for("listening", START_TIMEOUT)
            if probing.translated and not second.hears("opened", OPEN_TIMEOUT + transit):
                plans[probing.back] = NOTHING
            senders = {probing.out: first, probing.back: second}
            for way, side in senders.items():
                side.send_line(json.dumps(plans[way].as_json()))
            sent = {way: side.wait_for("sent", SEND_TIMEOUT) for way, side in senders.items()}
            # There is no event to wait for: the last packets may be in transit for this long.
            time.sleep(transit)
            for side in senders.values():
                side.send_line("stop")
            receivers = {probing.out: second, probing.back: first}
            arrived = {way: side.wait_for("arrived", START_TIMEOUT) for way, side in receivers.items()}
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

    def __init__(self, host: Host, arguments: str) -> None:
        self._text = bytearray()
        self._process = host.helper(f"{agent('probe')} {arguments}", self._text.extend)

    def hears(self, event: str, timeout: float) -> bool:
        """True if the probe reports ``event`` within ``timeout`` seconds."""
        try:
            self.wait_for(event, timeout)
        except HostTimeout:
            return False
        return True

    def send_line(self, line: str) -> None:
        self._process.send(line.encode() + b"\n")

    def wait_for(self, event: str, timeout: float) -> dict[str, Any]:
        self._process.wait_until(lambda: self._find(event) is not None, "can't measure the link", timeout)
        found = self._find(event)
        if found is None:
            raise EnvironmentFailure(f"the probe didn't report {event!r}")
        return found

    def close(self) -> None:
        self._process.close_stdin()
        if not self._process.ended:
            self._process.signal("TERM")
        self._process.finish()

    def _find(self, event: str) -> dict[str, Any] | None:
        for line in bytes(self._text).split(b"\n")[:-1]:
            report: dict[str, Any] = json.loads(line)
            if report["event"] == event:
                return report
        return None


@contextmanager
def _probe(host: Host, arguments: str) -> Iterator[_Side]:
    side = _Side(host, arguments)
    try:
        yield side
    finally:
        side.close()


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
