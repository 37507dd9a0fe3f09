"""The settings of a link: the impairment of each direction, drops and partitions.

A direction is named after the segment that its packets go to: ``to-office``. Settings are sent to the router
as a JSON object (``as_json``, ``from_json``) and are checked at both ends. For the decision on a single
packet see impairment_model.py.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields, replace
from typing import Any, TypeAlias

from lab.link.errors import ImpairmentError
from lab.link.units import describe_rate
from lab.locale import _, message
from lab.protocols.fields import FieldChecks

TO = "to-"  # a direction is this prefix and the name of a segment
BOTH = "both"
SEGMENT = r"[A-Za-z0-9][A-Za-z0-9_.-]{0,62}"

MAX_DELAY = 10.0  # seconds
MIN_RATE, MAX_RATE = 8_000.0, 10e9  # bit/s
MAX_NTH = 1_000_000
MAX_DROPS = 16
MAX_SEGMENTS = 16  # of one router
PROTOCOLS = {"icmp": 1, "tcp": 6, "udp": 17, "icmp6": 58}
SHARES = {
    "loss": message("{share} loss"),
    "duplication": message("{share} duplication"),
    "reordering": message("{share} reordering"),
    "corruption": message("{share} corruption"),
}
TCP_FLAGS = {"FIN": 1, "SYN": 2, "RST": 4, "PSH": 8, "ACK": 16, "URG": 32}

JsonObject: TypeAlias = dict[str, Any]

_check = FieldChecks(lambda name, problem: ImpairmentError(name, f"{name} {problem}"))


@dataclass(frozen=True)
class Impairment:
    """The impairment of one direction; by default none. Raises ImpairmentError.

    Each packet is treated independently, in this order: it is lost, or else corrupted, duplicated and
    delayed. Then it is queued for a line of ``rate``.
    """

    delay: float = 0.0  # seconds, one way
    jitter: float = 0.0  # seconds: delays are uniform in delay ± jitter, so packets may overtake each other
    loss: float = 0.0  # 0–1, like all shares
    duplication: float = 0.0
    reordering: float = 0.0  # share of packets that skip the delay and so overtake the others
    corruption: float = 0.0  # share of packets with one bit flipped after the IP header
    rate: float | None = None  # bit/s of Ethernet frames; None: unlimited

    def __post_init__(self) -> None:
        _check.number("delay", self.delay, 0, MAX_DELAY, "seconds")
        _check.number("jitter", self.jitter, 0, MAX_DELAY, "seconds")
        for name in ("loss", "duplication", "reordering", "corruption"):
            _check.number(name, getattr(self, name), 0, 1)
        if self.rate is not None:
            _check.number("rate", self.rate, MIN_RATE, MAX_RATE, "bit/s")
        if self.jitter > self.delay:
            raise ImpairmentError("jitter", f"jitter {self.jitter:g} s is greater than the delay")
        if self.reordering and not self.delay:
            raise ImpairmentError(
                "reordering", "reordering needs a delay: without one, no packet is overtaken"
            )

    @property
    def is_nothing(self) -> bool:
        return self == Impairment()

    @property
    def is_delay_only(self) -> bool:
        """True if all packets are treated alike, so that no decision per packet is necessary."""
        return self == Impairment(delay=self.delay, rate=self.rate)

    def describe(self, language: str = "en") -> str:
        """Describes it in a few words: "20 ms ± 2 ms, 10% loss"."""
        words = []
        if self.delay:
            words.append(f"{self.delay * 1000:g} ms" + f" ± {self.jitter * 1000:g} ms" * bool(self.jitter))
        for name in ("loss", "duplication", "reordering", "corruption"):
            if share := getattr(self, name):
                words.append(
                    replace(SHARES[name], fields={"share": f"{share * 100:g}%"}).in_language(language)
                )
        if self.rate is not None:
            words.append(describe_rate(self.rate))
        return _(", ", language).join(words) or _("unimpaired", language)


@dataclass(frozen=True)
class Drop:
    """Drops the ``nth`` matching packets (from 1), counted over all directions that it applies to.

    ``port`` matches at either end. ``flags`` are TCP flags, such as "SYN" or "SYN+ACK": a packet matches if
    exactly these of SYN, ACK, FIN and RST are set. Raises ImpairmentError.
    """

    nth: tuple[int, ...]
    protocol: str | None = None  # tcp | udp | icmp | icmp6
    port: int | None = None
    flags: str | None = None
    direction: str = BOTH

    def __post_init__(self) -> None:
        if not self.nth or len(self.nth) > 1000:
            raise ImpairmentError("nth", "nth must have 1 to 1000 numbers")
        for number in self.nth:
            _check.integer("nth", number, 1, MAX_NTH)
        if self.protocol is not None:
            _check.one_of("protocol", self.protocol, PROTOCOLS)
        if self.port is not None:
            _check.integer("port", self.port, 1, 65_535)
        if self.direction != BOTH:
            check_direction(self.direction)
        if self.port is not None and self.protocol in ("icmp", "icmp6"):
            raise ImpairmentError("port", f"{self.protocol} has no ports")
        if self.flags is not None:
            if self.protocol not in (None, "tcp"):
                raise ImpairmentError("flags", f"{self.protocol} has no TCP flags")
            flag_bits(self.flags)

    def applies_to(self, direction: str) -> bool:
        return self.direction in (BOTH, direction)

    def describe(self, language: str = "en") -> str:
        numbers = ", ".join(str(number) for number in self.nth)
        protocol = "tcp" if self.flags else self.protocol
        words = [self.flags, protocol, f"port {self.port}" if self.port else None, self.direction]
        matching = " ".join(word for word in words if word)
        text = message("drop number {numbers} of: {matching}", numbers=numbers, matching=matching)
        return text.in_language(language)


@dataclass(frozen=True)
class LinkSettings:
    """All settings of a link.

    ``impairments`` maps directions to their impairment; a direction that isn't in it is unimpaired. ``cut``
    contains the directions in which all packets are dropped. Raises ImpairmentError.
    """

    impairments: Mapping[str, Impairment] = field(default_factory=dict)
    cut: frozenset[str] = frozenset()
    drops: tuple[Drop, ...] = ()

    def __post_init__(self) -> None:
        for direction in (*self.impairments, *self.cut):
            check_direction(direction)
        _check.items("drops", self.drops, MAX_DROPS)

    def __getitem__(self, direction: str) -> Impairment:
        return self.impairments.get(direction, Impairment())

    @property
    def is_nothing(self) -> bool:
        impaired = any(not impairment.is_nothing for impairment in self.impairments.values())
        return not (impaired or self.cut or self.drops)

    def check_directions(self, known: Sequence[str]) -> None:
        """Raises ImpairmentError if a setting names a direction that isn't ``known``."""
        for direction in (*self.impairments, *self.cut, *(drop.direction for drop in self.drops)):
            expand(direction, known)

    def describe(self, language: str = "en") -> str:
        """Describes the settings in one line."""
        directions = [*self.impairments, *sorted(self.cut - self.impairments.keys())]
        unimpaired, cut = _("unimpaired", language), _("cut", language)
        words = {name: cut if name in self.cut else self[name].describe(language) for name in directions}
        if len(set(words.values())) > 1 or len(words) == 1 and not self.is_nothing:
            parts = [f"{name}: {text}" for name, text in words.items()]
        else:
            text = next(iter(words.values()), unimpaired)
            both, every = message("both ways: {text}", text=text), message("all ways: {text}", text=text)
            shown = (both if len(words) == 2 else every).in_language(language)
            parts = [text if text == unimpaired else shown]
        return "; ".join(parts + [drop.describe(language) for drop in self.drops])

    in_language = describe

    def as_json(self) -> JsonObject:
        return {
            **{direction: asdict(impairment) for direction, impairment in self.impairments.items()},
            "cut": sorted(self.cut),
            "drops": [asdict(drop) | {"nth": list(drop.nth)} for drop in self.drops],
        }

    @classmethod
    def from_json(cls, value: object) -> LinkSettings:
        """The inverse of ``as_json``. Raises ImpairmentError for any other value."""
        rest = dict(_check.mapping("link", value))
        cut = _check.items("cut", rest.pop("cut", []), MAX_SEGMENTS)
        drops = _check.items("drops", rest.pop("drops", []), MAX_DROPS)
        if len(rest) > MAX_SEGMENTS:
            raise ImpairmentError("link", f"link must have at most {MAX_SEGMENTS} directions")
        return cls(
            {check_direction(name): _read(Impairment, name, entry) for name, entry in rest.items()},
            frozenset(check_direction(entry) for entry in cut),
            tuple(_read_drop(entry) for entry in drops),
        )


def directions_to(segments: Sequence[str]) -> tuple[str, ...]:
    """The directions of a router on these segments. Raises ImpairmentError."""
    return tuple(check_direction(TO + segment) for segment in segments)


def check_direction(direction: object) -> str:
    """Returns ``direction`` if it has the form "to-SEGMENT"; raises ImpairmentError otherwise."""
    if not isinstance(direction, str) or not re.fullmatch(TO + SEGMENT, direction):
        raise ImpairmentError("direction", f"no direction {direction!r}: expected {TO}SEGMENT or {BOTH}")
    return direction


def expand(direction: str, known: Sequence[str]) -> tuple[str, ...]:
    """The directions that ``direction`` selects from ``known``. Raises ImpairmentError."""
    if direction != BOTH and direction not in known:
        listed = ", ".join((*known, BOTH))
        raise ImpairmentError("direction", f"no direction {direction!r}: this link has {listed}")
    return tuple(known) if direction == BOTH else (direction,)


def flag_bits(text: str) -> int:
    """Converts "SYN+ACK" to the bits of byte 13 of a TCP header. Raises ImpairmentError."""
    bits = 0
    for name in re.split("[+,]", text.upper()):
        if name not in TCP_FLAGS:
            raise ImpairmentError("flags", f"no TCP flag {name!r}: expected {', '.join(TCP_FLAGS)}")
        bits |= TCP_FLAGS[name]
    return bits


def _read(kind: type[Any], name: str, value: object) -> Any:
    return kind(**_check.mapping(name, value, [entry.name for entry in fields(kind)]))


def _read_drop(value: object) -> Drop:
    entry = _check.mapping("drops", value)
    for name in ("protocol", "flags", "direction"):
        if entry.get(name) is not None:
            _check.text(name, entry[name], 100)
    drop: Drop = _read(Drop, "drop", entry | {"nth": tuple(_check.items("nth", entry.get("nth"), 1000))})
    return drop
