"""Parses quantities with units ("20ms", "10%", "10Mbit"), and formats rates."""

from __future__ import annotations

import re
from collections.abc import Mapping

from lab.link.errors import ImpairmentError

_NUMBER = r"([0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:e([0-9]))?"
_SECONDS = {"us": 1e-6, "ms": 1e-3, "s": 1.0, "": 1.0}
_SHARES = {"%": 0.01, "": 1.0}
_RATES = {"kbit": 1e3, "mbit": 1e6, "gbit": 1e9, "k": 1e3, "m": 1e6, "g": 1e9, "bit": 1.0, "": 1.0}


def parse_seconds(text: str) -> float:
    """Parses "20ms", "0.02s" or "0.02" into seconds. Raises ImpairmentError."""
    return _parse(text, _SECONDS, "a duration like 20ms")


def parse_share(text: str) -> float:
    """Parses "10%" or "0.1". Raises ImpairmentError."""
    return _parse(text, _SHARES, "a share like 10% or 0.1")


def parse_rate(text: str) -> float:
    """Parses "10Mbit" or "10000000" into bit/s. Raises ImpairmentError."""
    return _parse(text, _RATES, "a rate like 10Mbit")


def describe_rate(rate: float) -> str:
    """Formats bit/s: "1.5 Mbit/s"."""
    for unit, size in (("Gbit/s", 1e9), ("Mbit/s", 1e6), ("kbit/s", 1e3)):
        if rate >= size:
            return f"{rate / size:.4g} {unit}"
    return f"{rate:.4g} bit/s"


def _parse(text: str, units: Mapping[str, float], expected: str) -> float:
    match = re.fullmatch(rf"{_NUMBER} ?([a-z%]*?)(/s)?", text.strip().lower())
    if not match or match[3] not in units:
        raise ImpairmentError("number", f"{text!r} is not {expected}")
    return float(match[1]) * 10.0 ** int(match[2] or 0) * units[match[3]]
