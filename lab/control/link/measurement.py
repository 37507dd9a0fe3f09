"""Measures the link: runs a probe program on each side and compares the arrivals with the settings."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

from lab.control.host import Host
from lab.control.process import agent
from lab.errors import EnvironmentFailure
from lab.link.probe_format import Observation, Plan, longest_transit, plan
from lab.link.settings import LinkSettings
from lab.link.verification import Attempt, judge

START_TIMEOUT = 10.0
SEND_TIMEOUT = 30.0


def measure(receivers: Mapping[str, Host], asked: LinkSettings, probes: int | None = None) -> Attempt:
    """Sends probes in both directions at once, and compares the arrivals with ``asked``.

    ``receivers`` maps each direction to the host that receives its packets; the other host sends them.
    ``probes`` limits their number. Raises EnvironmentFailure, or HostTimeout, if the probes can't be sent.
    """
    started = time.time()
    (first, host), (second, peer) = receivers.items()
    plans = {way: _plan(asked, way, probes) for way in receivers}
    with _probe(host, peer.address) as at_host, _probe(peer, host.address) as at_peer:
        senders = {first: at_peer, second: at_host}
        for side in senders.values():
            side.wait_for("listening", START_TIMEOUT)
        for way, side in senders.items():
            side.send_line(json.dumps(plans[way].as_json()))
        sent = {way: side.wait_for("sent", SEND_TIMEOUT) for way, side in senders.items()}
        # There is no event to wait for: the last packets may be in transit for this long.
        time.sleep(max(longest_transit(asked[way]) for way in receivers))
        for side in senders.values():
            side.send_line("stop")
        arrived = {
            first: at_host.wait_for("arrived", START_TIMEOUT),
            second: at_peer.wait_for("arrived", START_TIMEOUT),
        }
    seen = {way: _observation(plans[way], sent[way], arrived[way]) for way in receivers}
    measured = {way: judge(asked[way], seen[way], cut=way in asked.cut) for way in receivers}
    return Attempt(started, measured, any(observation.is_disturbed for observation in seen.values()))


def failures(attempt: Attempt) -> list[str]:
    """A sentence for each value that differs from its setting."""
    return [
        f"{way} {check.what}: asked {check.show(check.asked)}, measured {check.show(check.measured)}"
        f" ({check.show(check.low)} … {check.show(check.high)})"
        for way, check in attempt.wrong
    ]


class _Side:
    """The probe on one host."""

    def __init__(self, host: Host, peer: str) -> None:
        self._text = bytearray()
        self._process = host.helper(f"{agent('probe')} {peer}", self._text.extend)

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
def _probe(host: Host, peer: str) -> Iterator[_Side]:
    side = _Side(host, peer)
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
