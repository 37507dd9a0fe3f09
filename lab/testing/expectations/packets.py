"""``expect(lab.packets())``: which packets were seen between the hosts."""

from __future__ import annotations

import ipaddress
import time
from collections.abc import Iterator
from dataclasses import dataclass, fields
from typing import Any

from lab.control.host import Host
from lab.errors import UsageError
from lab.evidence.packets.packet import Packet
from lab.evidence.packets.traffic import Traffic
from lab.evidence.packets.transit import PacketTransit
from lab.link.errors import ImpairmentError
from lab.link.settings import flag_bits
from lab.locale import _, from_environment, message, messages
from lab.testing.expectations.waiting import check_port, check_seconds, failed, wait_until

NEAREST = 5  # packets that a failure shows
MAX_PAYLOAD = 40  # characters of a payload in the text of a failure
IN_FLIGHT = 0.2  # seconds after which a packet that hasn't left its router counts as lost; see _is_settled
PROTOCOLS = ("tcp", "udp", "icmp", "icmp6", "arp", "ip")
LETTERS = {"FIN": "F", "SYN": "S", "RST": "R", "PSH": "P", "ACK": "A", "URG": "U"}
KINDS = {"source": (Host, str), "to": (Host, str), "payload": (str, bytes), "lost": (bool,)}
COMPARED = set("SAFR")  # of TCP flags, as in lab.link.drop


@dataclass(frozen=True)
class Filter:
    """The properties of the wanted packets; None matches any. Raises UsageError.

    ``source`` and ``to`` are hosts, names of nodes, or IP addresses. ``port`` is the destination's port and
    ``source_port`` that of the sender. ``flags`` "SYN" or "SYN+ACK" match TCP packets with exactly these of
    SYN, ACK, FIN and RST. ``lost`` packets entered a router and didn't leave it. ``payload`` is contained in
    the packet's payload.
    """

    source: Host | str | None = None
    to: Host | str | None = None
    port: int | None = None
    source_port: int | None = None
    protocol: str | None = None
    flags: str | None = None
    lost: bool | None = None
    payload: str | bytes | None = None

    def __post_init__(self) -> None:
        for port in (self.port, self.source_port):
            if port is not None:
                check_port(port)
        if self.protocol not in (None, *PROTOCOLS):
            known = ", ".join(PROTOCOLS)
            raise UsageError(
                message("protocol={value!r}: expected {known}", value=self.protocol, known=known)
            )
        if self.flags is not None:
            try:
                flag_bits(self.flags)
            except ImpairmentError as error:
                raise UsageError(str(error)) from None
        for name, kinds in KINDS.items():
            value = getattr(self, name)
            if value is not None and not isinstance(value, kinds):
                raise UsageError(message("{name}={value!r} has a wrong type", name=name, value=value))

    def misses(self, transit: PacketTransit, names: dict[str, str]) -> list[str]:
        """The names of the properties that the packet doesn't have."""
        checks = (
            ("source", any(_is(p.source, self.source, names) for p in transit.sightings)),
            ("to", any(_is(p.destination, self.to, names) for p in transit.sightings)),
            ("port", any(p.dport == self.port for p in transit.sightings)),
            ("source_port", any(p.sport == self.source_port for p in transit.sightings)),
            ("protocol", transit.sent.protocol == self.protocol),
            (
                "flags",
                transit.sent.protocol == "tcp" and _letters(self.flags) == COMPARED & {*transit.sent.flags},
            ),
            ("lost", (transit.fate == "lost") == self.lost),
            ("payload", _bytes(self.payload) in transit.sent.payload),
        )
        return [name for name, holds in checks if getattr(self, name) is not None and not holds]

    def describe(self) -> str:
        """ "client → server:80 tcp SYN, lost"."""
        ends = [_end(self.source, self.source_port), _end(self.to, self.port)]
        words = [" → ".join(end or "*" for end in ends) if any(ends) else "", self.protocol, self.flags]
        if self.payload is not None:
            words.append(f"“{str(self.payload)[:MAX_PAYLOAD]}”")
        fate = {True: _("lost"), False: _("not lost"), None: ""}[self.lost]
        return ", ".join(filter(None, [" ".join(filter(None, words)), fate])) or _("any")


@dataclass(frozen=True)
class Count:
    """The number of packets that are wanted."""

    exactly: int | None = None
    at_least: int | None = None

    def __post_init__(self) -> None:
        for value in (self.exactly, self.at_least):
            if value is not None and (not isinstance(value, int) or isinstance(value, bool) or value < 1):
                raise UsageError(
                    message("{value!r} packets: expected at least 1; for none, use not_to_have", value=value)
                )
        if self.exactly is not None and self.at_least is not None:
            raise UsageError(message("give count or at_least, not both"))

    def holds(self, number: int) -> bool:
        if self.exactly is not None:
            return number == self.exactly
        return number >= (1 if self.at_least is None else self.at_least)

    def describe(self) -> str:
        if self.exactly is not None:
            text = messages("{count} packet", "{count} packets", count=self.exactly)
        else:
            text = messages("at least {count} packet", "at least {count} packets", count=self.at_least or 1)
        return text.in_language(from_environment())


class PacketsExpectation:
    """Expectations of the packets of a test. They are read again until the expectation holds."""

    def __init__(self, traffic: Traffic) -> None:
        self._traffic = traffic

    def to_have(
        self, *, count: int | None = None, at_least: int | None = None, timeout: float = 5.0, **wanted: Any
    ) -> list[PacketTransit]:
        """Within ``timeout`` seconds there are exactly ``count`` packets with the properties ``wanted`` (see
        Filter), or at least ``at_least``, by default one. Returns them.

        An exact ``count`` fails if packets may be missing from the captures, or payloads were cut.
        """
        __tracebackhide__ = True
        check_seconds("timeout", timeout)
        filter_, number = self._filter(wanted), Count(count, at_least)
        found, holds = wait_until(
            lambda: self._matching(filter_), lambda found: number.holds(len(found)), timeout
        )
        if not holds:
            text = _("expected {count} within {seconds:g} s: {filter}; there are {found}")
            line = text.format(
                count=number.describe(), seconds=timeout, filter=filter_.describe(), found=len(found)
            )
            raise failed(line, [*self._nearest(filter_), *self._doubts(filter_)])
        if count is not None and (doubts := self._doubts(filter_)):
            line = _("{count} of {filter} can't be verified; {found} were seen")
            raise failed(
                line.format(count=number.describe(), filter=filter_.describe(), found=len(found)), doubts
            )
        return found

    def not_to_have(self, *, during: float = 0.5, **wanted: Any) -> None:
        """No packet has the properties ``wanted`` (see Filter), neither so far nor in the next ``during``
        seconds.

        It fails, too, if packets may be missing from the captures, or payloads were cut.
        """
        __tracebackhide__ = True
        check_seconds("during", during)
        filter_ = self._filter(wanted)
        found, holds = wait_until(lambda: self._matching(filter_), bool, during)
        if holds:
            line = _("expected no packet: {filter}; there are {found}")
            seen = [self._line(transit) for transit in found[:NEAREST]]
            raise failed(line.format(filter=filter_.describe(), found=len(found)), seen)
        if doubts := self._doubts(filter_):
            line = _("expected no packet: {filter}; none was seen, but the captures don't show everything")
            raise failed(line.format(filter=filter_.describe()), doubts)

    def _doubts(self, filter_: Filter) -> list[str]:
        """Why there may be more packets with the wanted properties than were found."""
        doubts = [doubt for capture in self._traffic.captures.values() for doubt in capture.doubts()]
        names = self._traffic.names
        cut = [
            t.sent
            for t in self._traffic.transits
            if _is_cut(t.sent) and filter_.misses(t, names) == ["payload"]
        ]
        if cut:
            doubts.append(
                messages(
                    "of {count} packet only the first {kept} bytes of the payload were kept",
                    "of {count} packets only the start of the payload was kept: {kept} bytes or more",
                    count=len(cut),
                    kept=min(len(packet.payload) for packet in cut),
                )
            )
        return [doubt.in_language(from_environment()) for doubt in doubts]

    def _filter(self, wanted: dict[str, Any]) -> Filter:
        """Raises UsageError for an unknown property, or a name that no node has."""
        known = [field.name for field in fields(Filter)]
        for name in wanted:
            if name not in known:
                raise UsageError(
                    message("unknown property {name!r}; there are {known}", name=name, known=", ".join(known))
                )
        ends = {key: self._end(wanted[key]) for key in ("source", "to") if isinstance(wanted.get(key), str)}
        return Filter(**{**wanted, **ends})

    def _end(self, name: str) -> str:
        """The title of the node with this name; an address unchanged."""
        titles = {
            alias: node["names"][-1] for node in self._traffic.topology for alias in node.get("names", ())
        }
        titles |= {title: title for title in self._traffic.names.values()}
        if name in titles:
            return str(titles[name])
        try:
            return str(ipaddress.ip_address(name))
        except ValueError:
            known = ", ".join(sorted(titles))
            raise UsageError(message("no node {name!r}; there are {known}", name=name, known=known)) from None

    def _matching(self, filter_: Filter) -> list[PacketTransit]:
        self._traffic = self._traffic.again()
        found = [t for t in self._traffic.transits if not filter_.misses(t, self._traffic.names)]
        return [t for t in found if filter_.lost is None or self._is_settled(t)]

    def _is_settled(self, transit: PacketTransit) -> bool:
        """Whether the fate of a packet is known: one that is still in the router isn't lost."""
        delays = [t.delay for t in self._traffic.transits if t.delay is not None]
        in_flight = max(IN_FLIGHT, 2 * max(delays, default=0.0))
        return transit.fate != "lost" or time.time() - transit.sent.at > in_flight

    def _nearest(self, filter_: Filter) -> Iterator[str]:
        """The packets that have the most of the wanted properties."""
        if not self._traffic.transits:
            yield _("there were no packets")
            return
        ranked = [(filter_.misses(t, self._traffic.names), t) for t in self._traffic.transits]
        for missing, transit in sorted(ranked, key=lambda entry: len(entry[0]))[:NEAREST]:
            other = _("  (other {properties})").format(properties=", ".join(missing)) if missing else ""
            yield self._line(transit) + other

    def _line(self, transit: PacketTransit) -> str:
        packet, names = transit.sent, self._traffic.names
        source, to = (names.get(address, address) for address in (packet.source, packet.destination))
        ends = f"{_end(source, packet.sport or None)} → {_end(to, packet.dport or None)}"
        words = [ends, packet.label, packet.preview, _("lost") if transit.fate == "lost" else ""]
        return _("seen: {packet}").format(packet=" ".join(filter(None, words)))


def _is(address: str, wanted: Host | str | None, names: dict[str, str]) -> bool:
    if isinstance(wanted, Host):
        return address in (*wanted.node.addresses, *wanted.node.addresses6)
    return wanted in (address, names.get(address))


def _is_cut(packet: Packet) -> bool:
    """Whether only the start of its payload was kept. Neighbour discovery (ICMPv6) has no payload."""
    if packet.protocol in ("icmp", "icmp6") and not packet.payload:
        return False
    return len(packet.payload) < packet.length


def _letters(flags: str | None) -> set[str]:
    """ "SYN+ACK" as the letters of Packet.flags."""
    return {LETTERS[name] for name in (flags or "").upper().replace(",", "+").split("+") if name}


def _bytes(payload: str | bytes | None) -> bytes:
    return payload.encode() if isinstance(payload, str) else payload or b""


def _end(who: Host | str | None, port: int | None) -> str:
    name = who.title if isinstance(who, Host) else who or ("*" if port else "")
    return f"{name}:{port}" if port else name
