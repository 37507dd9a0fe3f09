"""What is asked of the link between the segments: values, and what makes no sense of them.

Each direction has an ``Impairment`` of its own. Settings travel to the router as a JSON object (``as_json``,
``from_json``) and are checked at both ends. What happens to a single packet is told in fates.py.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any, TypeAlias

from lab.protocols.errors import LocalProtocolError

TO_SERVERS, TO_CLIENTS = DIRECTIONS = ("to-servers", "to-clients")
BOTH = "both"

MAX_DELAY = 10.0
MIN_RATE, MAX_RATE = 8_000.0, 10e9
MAX_NTH = 1_000_000
MAX_DROPS = 16
PROTOCOLS = {"icmp": 1, "tcp": 6, "udp": 17, "icmp6": 58}
TCP_FLAGS = {"FIN": 1, "SYN": 2, "RST": 4, "PSH": 8, "ACK": 16, "URG": 32}

JsonObject: TypeAlias = dict[str, Any]


class ImpairmentError(LocalProtocolError):
    """A setting that makes no sense. ``code`` is its name."""


@dataclass(frozen=True)
class Impairment:
    """What one direction does to packets. Without arguments: nothing. Raises ImpairmentError.

    Each packet is treated by itself, in this order: lost, or else corrupted, duplicated, delayed; then it
    waits for its turn on a line of ``rate``.
    """

    delay: float = 0.0  # seconds, one way
    jitter: float = 0.0  # seconds: delays are spread evenly over delay ± jitter, so packets may overtake
    loss: float = 0.0  # 0–1, as all shares
    duplication: float = 0.0
    reordering: float = 0.0  # share of packets that skip the delay, and so overtake those that don't
    corruption: float = 0.0  # share of packets with one bit flipped behind the IP header
    rate: float | None = None  # bit/s of Ethernet frames; None: unlimited

    def __post_init__(self) -> None:
        _check_number("delay", self.delay, 0, MAX_DELAY, "seconds")
        _check_number("jitter", self.jitter, 0, MAX_DELAY, "seconds")
        for name in ("loss", "duplication", "reordering", "corruption"):
            _check_number(name, getattr(self, name), 0, 1, "(a share)")
        if self.rate is not None:
            _check_number("rate", self.rate, MIN_RATE, MAX_RATE, "bit/s")
        if self.jitter > self.delay:
            raise ImpairmentError("jitter", f"jitter {self.jitter:g} s is more than the delay it varies")
        if self.reordering and not self.delay:
            raise ImpairmentError("reordering", "reordering needs a delay: without one nothing is overtaken")

    @property
    def is_nothing(self) -> bool:
        return self == Impairment()

    @property
    def is_delay_only(self) -> bool:
        """Whether all packets fare alike, so that none needs a fate of its own."""
        return self == Impairment(delay=self.delay, rate=self.rate)

    def describe(self) -> str:
        """In words: "20 ms ± 2 ms, 10% loss"."""
        words = []
        if self.delay:
            words.append(f"{self.delay * 1000:g} ms" + f" ± {self.jitter * 1000:g} ms" * bool(self.jitter))
        for name in ("loss", "duplication", "reordering", "corruption"):
            if share := getattr(self, name):
                words.append(f"{share * 100:g}% {name}")
        if self.rate is not None:
            words.append(describe_rate(self.rate))
        return ", ".join(words) or "unimpaired"


@dataclass(frozen=True)
class Drop:
    """Drops the packets number ``nth`` (from 1) of those that match, counted over both directions.

    ``port`` is matched at either end; ``flags`` are TCP flags, "SYN" or "SYN+ACK": exactly these of
    SYN, ACK, FIN and RST are set. Raises ImpairmentError.
    """

    nth: tuple[int, ...]
    protocol: str | None = None  # tcp | udp | icmp | icmp6
    port: int | None = None
    flags: str | None = None
    direction: str = BOTH

    def __post_init__(self) -> None:
        if not self.nth or len(self.nth) > 1000:
            raise ImpairmentError("nth", "nth is empty, or has more than 1000 numbers")
        for number in self.nth:
            _check_whole("nth", number, 1, MAX_NTH)
        if self.protocol is not None and self.protocol not in PROTOCOLS:
            raise ImpairmentError(
                "protocol", f"no protocol {self.protocol!r}; there are {_listed(PROTOCOLS)}"
            )
        if self.port is not None:
            _check_whole("port", self.port, 1, 65_535)
        check_direction(self.direction)
        if self.port is not None and self.protocol in ("icmp", "icmp6"):
            raise ImpairmentError("port", f"{self.protocol} has no ports")
        if self.flags is not None:
            if self.protocol not in (None, "tcp"):
                raise ImpairmentError("flags", f"{self.protocol} has no TCP flags")
            flag_bits(self.flags)

    def directions(self) -> tuple[str, ...]:
        return expand(self.direction)

    def describe(self) -> str:
        numbers = ", ".join(str(number) for number in self.nth)
        protocol = "tcp" if self.flags else self.protocol
        words = [self.flags, protocol, f"port {self.port}" if self.port else None, self.direction]
        return f"drop number {numbers} of: " + " ".join(word for word in words if word)


@dataclass(frozen=True)
class LinkSettings:
    """All that is asked of the link. ``cut`` names the directions that carry nothing."""

    to_servers: Impairment = field(default_factory=Impairment)
    to_clients: Impairment = field(default_factory=Impairment)
    cut: frozenset[str] = frozenset()
    drops: tuple[Drop, ...] = ()

    def __post_init__(self) -> None:
        for direction in self.cut:
            if direction not in DIRECTIONS:
                raise ImpairmentError("cut", f"no direction {direction!r}; there are {_listed(DIRECTIONS)}")
        if len(self.drops) > MAX_DROPS:
            raise ImpairmentError("drops", f"{len(self.drops)} drops; at most {MAX_DROPS}")

    def __getitem__(self, direction: str) -> Impairment:
        return self.to_servers if direction == TO_SERVERS else self.to_clients

    @property
    def is_nothing(self) -> bool:
        return self == LinkSettings()

    def describe(self) -> str:
        """In one line."""
        ways = [_describe_way(self, direction) for direction in DIRECTIONS]
        if ways[0] == ways[1]:
            words = [f"both ways: {ways[0]}" if ways[0] != "unimpaired" else "unimpaired"]
        else:
            words = [f"{direction}: {way}" for direction, way in zip(DIRECTIONS, ways, strict=True)]
        return "; ".join(words + [drop.describe() for drop in self.drops])

    def as_json(self) -> JsonObject:
        return {
            "to-servers": asdict(self.to_servers),
            "to-clients": asdict(self.to_clients),
            "cut": sorted(self.cut),
            "drops": [asdict(drop) | {"nth": list(drop.nth)} for drop in self.drops],
        }

    @classmethod
    def from_json(cls, value: object) -> LinkSettings:
        """Raises ImpairmentError for anything but what ``as_json`` gives."""
        known = _object("link", value, {*DIRECTIONS, "cut", "drops"})
        return cls(
            to_servers=_read(Impairment, TO_SERVERS, known.get(TO_SERVERS, {})),
            to_clients=_read(Impairment, TO_CLIENTS, known.get(TO_CLIENTS, {})),
            cut=frozenset(_strings("cut", known.get("cut", []))),
            drops=tuple(_read_drop(entry) for entry in _list("drops", known.get("drops", []))),
        )


def check_direction(direction: object) -> None:
    """Raises ImpairmentError unless it is "to-servers", "to-clients" or "both"."""
    if direction not in (*DIRECTIONS, BOTH):
        raise ImpairmentError(
            "direction", f"no direction {direction!r}; there are {_listed((*DIRECTIONS, BOTH))}"
        )


def expand(direction: str) -> tuple[str, ...]:
    """The directions that are meant. Raises ImpairmentError."""
    check_direction(direction)
    return DIRECTIONS if direction == BOTH else (direction,)


def flag_bits(text: str) -> int:
    """ "SYN+ACK" as the bits of a TCP header's byte 13. Raises ImpairmentError."""
    bits = 0
    for name in re.split("[+,]", text.upper()):
        if name not in TCP_FLAGS:
            raise ImpairmentError("flags", f"no TCP flag {name!r}; there are {_listed(TCP_FLAGS)}")
        bits |= TCP_FLAGS[name]
    return bits


def parse_seconds(text: str) -> float:
    """ "20ms", "0.02s" or "0.02", in seconds. Raises ImpairmentError."""
    return _parse("a duration like 20ms", text, {"us": 1e-6, "ms": 1e-3, "s": 1.0, "": 1.0})


def parse_share(text: str) -> float:
    """ "10%" or "0.1". Raises ImpairmentError."""
    return _parse("a share like 10% or 0.1", text, {"%": 0.01, "": 1.0})


def parse_rate(text: str) -> float:
    """ "10Mbit" or "10000000", in bit/s. Raises ImpairmentError."""
    bits = {"kbit": 1e3, "mbit": 1e6, "gbit": 1e9}
    return _parse("a rate like 10Mbit", text, bits | {"k": 1e3, "m": 1e6, "g": 1e9, "bit": 1.0, "": 1.0})


def describe_rate(rate: float) -> str:
    for unit, size in (("Gbit/s", 1e9), ("Mbit/s", 1e6), ("kbit/s", 1e3)):
        if rate >= size:
            return f"{rate / size:.4g} {unit}"
    return f"{rate:.4g} bit/s"


def _parse(what: str, text: str, units: Mapping[str, float]) -> float:
    match = re.fullmatch(
        r"([0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:e([0-9]))? ?([a-z%]*?)(/s)?", text.strip().lower()
    )
    if not match or match[3] not in units:
        raise ImpairmentError("number", f"{text!r} is not {what}")
    return float(match[1]) * 10.0 ** int(match[2] or 0) * units[match[3]]


def _describe_way(link: LinkSettings, direction: str) -> str:
    return "cut" if direction in link.cut else link[direction].describe()


def _check_number(name: str, value: object, low: float, high: float, unit: str) -> None:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise ImpairmentError(name, f"{name} is {value!r}, not a number")
    if not low <= value <= high:
        raise ImpairmentError(name, f"{name} {value:g} is outside {low:g} … {high:g} {unit}")


def _check_whole(name: str, value: object, low: int, high: int) -> None:
    if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
        raise ImpairmentError(name, f"{name} {value!r} is no whole number of {low} … {high}")


def _read(kind: type[Any], name: str, value: object) -> Any:
    return kind(**_object(name, value, {entry.name for entry in fields(kind)}))


def _read_drop(value: object) -> Drop:
    if not isinstance(value, dict) or "nth" not in value:
        raise ImpairmentError("drops", "a drop without nth")
    for name in ("protocol", "flags"):
        if not isinstance(value.get(name), str | None):
            raise ImpairmentError(name, f"{name} is no text")
    drop: Drop = _read(Drop, "drop", value | {"nth": tuple(_list("nth", value["nth"]))})
    return drop


def _object(name: str, value: object, known: set[str]) -> JsonObject:
    if not isinstance(value, dict):
        raise ImpairmentError(name, f"{name} is no object")
    for key in value:
        if key not in known:
            raise ImpairmentError(str(key), f"{name} has no {key!r}; there are {_listed(sorted(known))}")
    return value


def _list(name: str, value: object) -> list[Any]:
    if not isinstance(value, list):
        raise ImpairmentError(name, f"{name} is no list")
    return value


def _strings(name: str, value: object) -> list[str]:
    found = _list(name, value)
    if not all(isinstance(entry, str) for entry in found):
        raise ImpairmentError(name, f"{name} is no list of texts")
    return found


def _listed(names: Any) -> str:
    return ", ".join(names)
