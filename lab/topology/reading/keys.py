"""The keys of a description, and the check of each value. docs/topologies.md describes them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeAlias

from lab.topology.checks.limits import HOSTS
from lab.topology.reading.values import (
    Checker,
    by_name,
    command,
    environment,
    flag,
    forwards,
    list_of,
    mount,
    number,
    one_or_more,
    profile,
    ready,
    reset,
    table,
    text,
)

MIN_MTU, MAX_MTU = 1280, 9000  # IPv6 needs 1280 (RFC 8200, section 5)

Keys: TypeAlias = Mapping[str, Checker[Any]]

LAB: Keys = {
    "name": text,
    "mgmt": text,
    "compose": text,
    "segments": table,
    "hosts": table,
    "routers": table,
}
SEGMENT: Keys = {"prefix": text, "prefix6": text, "ipv6": flag, "mtu": number(MIN_MTU, MAX_MTU)}
HOST: Keys = {
    "segment": text,
    "segments": list_of(text),
    "address": one_or_more(text),
    "aliases": one_or_more(text),
    "count": number(1, HOSTS),
    "image": text,
    "build": text,
    "service": text,
    "command": command,
    "environment": environment,
    "mounts": one_or_more(mount),
    "ready": ready,
    "reset": reset,
    "profile": profile,
    "base": text,
}
ROUTER: Keys = {
    "segments": list_of(text),
    "address": one_or_more(text),
    "aliases": one_or_more(text),
    "nat": one_or_more(text),
    "forward": forwards,
    "routes": by_name(text),
}
