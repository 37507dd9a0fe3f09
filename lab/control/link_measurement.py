"""Measures the link: a probe program on each side, and a judgement of what arrived (protocols/probing)."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

from lab.control.host import Host
from lab.control.process import agent
from lab.errors import EnvironmentFailure
from lab.evidence.events import Measured
from lab.link.settings import DIRECTIONS, TO_CLIENTS, TO_SERVERS, LinkSettings
from lab.link.verification import Observation, Plan, judge, patience, plan

START_TIMEOUT = 10.0
SEND_TIMEOUT = 30.0


def measure(client: Host, server: Host, asked: LinkSettings, probes: int | None = None) -> Measured:
    """Sends probes both ways at once, and compares what arrives with ``asked``.

    ``probes`` limits how many. Raises EnvironmentFailure, HostTimeout where the probes don't run.
    """
    plans = {way: _plan(asked, way, probes) for way in DIRECTIONS}
    with _probe(client, server.address) as at_client, _probe(server, client.address) as at_server:
        senders = {TO_SERVERS: at_client, TO_CLIENTS: at_server}
        for side in senders.values():
            side.wait_for("listening", START_TIMEOUT)
        for way, side in senders.items():
            side.say(json.dumps(plans[way].as_json()))
        offered = {way: side.wait_for("sent", SEND_TIMEOUT)["offered"] for way, side in senders.items()}
        # Nothing to wait for but the packets themselves: the last ones may be under way for that long.
        time.sleep(max(patience(asked[way]) for way in DIRECTIONS))
        for side in senders.values():
            side.say("stop")
        arrived = {
            TO_SERVERS: at_server.wait_for("arrived", START_TIMEOUT),
            TO_CLIENTS: at_client.wait_for("arrived", START_TIMEOUT),
        }
    return {
        way: judge(asked[way], _observation(plans[way], offered[way], arrived[way]), cut=way in asked.cut)
        for way in DIRECTIONS
    }


def failures(measured: Measured) -> list[str]:
    """What isn't as it was asked, in words."""
    return [
        f"{way} {check.what}: asked {check.show(check.asked)}, measured {check.show(check.measured)}"
        f" ({check.show(check.low)} … {check.show(check.high)})"
        for way, checks in measured.items()
        for check in checks
        if check.ok is False
    ]


class _Side:
    """The probe on one host."""

    def __init__(self, host: Host, peer: str) -> None:
        self._text = bytearray()
        self._feed = host.helper(f"{agent('probe')} {peer}", self._text.extend)

    def say(self, line: str) -> None:
        self._feed.send(line.encode() + b"\n")

    def wait_for(self, event: str, timeout: float) -> dict[str, Any]:
        self._feed.wait_until(lambda: self._find(event) is not None, "can't measure the link", timeout)
        found = self._find(event)
        if found is None:
            raise EnvironmentFailure(f"the probe didn't say {event!r}")
        return found

    def close(self) -> None:
        self._feed.close_stdin()
        if not self._feed.ended:
            self._feed.signal("TERM")
        self._feed.finish()

    def _find(self, event: str) -> dict[str, Any] | None:
        for line in bytes(self._text).split(b"\n")[:-1]:
            said: dict[str, Any] = json.loads(line)
            if said["event"] == event:
                return said
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


def _observation(sent: Plan, offered: float, arrived: dict[str, Any]) -> Observation:
    return Observation(
        sent=sent.count,
        arrivals=[(number, micros / 1e6) for number, micros in arrived["arrivals"]],
        corrupted=arrived["corrupted"],
        train_bytes=arrived["train_bytes"],
        train_seconds=arrived["train_seconds"],
        offered=offered,
    )
