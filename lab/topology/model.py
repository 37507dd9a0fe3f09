"""A lab as its author describes it: segments, hosts, routers. plan.py adds the rest. No I/O."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

Protocol: TypeAlias = Literal["tcp", "udp"]


@dataclass(frozen=True)
class Segment:
    """A network that its nodes reach without a router. Without a prefix it gets a free one."""

    name: str
    prefix: str = ""  # IPv4: "10.10.1.0/24"
    prefix6: str = ""  # IPv6: "fd28:66::/64"
    ipv6: bool = True
    mtu: int = 0  # bytes of the largest IP packet; 0: 1500, as usual on Ethernet


@dataclass(frozen=True)
class Attachment:
    """A node's interface on a segment. Without an address it gets a free one."""

    segment: str
    address: str = ""
    address6: str = ""


@dataclass(frozen=True)
class Ready:
    """The condition that a workload must meet before the lab counts as up.

    tcp: something listens on ``port``. http: a GET of ``text`` on ``port`` is answered with 2xx or 3xx.
    log: ``text`` occurs in a line of its output. healthcheck: its image's health check succeeds.
    """

    kind: Literal["tcp", "http", "log", "healthcheck"]
    port: int = 0
    text: str = ""


@dataclass(frozen=True)
class Mount:
    """A folder or file of the user's machine in a host."""

    source: str  # an absolute path
    target: str
    read_only: bool = False


@dataclass(frozen=True)
class Workload:
    """The user's container on a host: an image, a folder with a Dockerfile, or a Compose service.

    Exactly one of ``image``, ``build`` and ``service`` is set. ``command`` None keeps that of the image.
    """

    image: str = ""
    build: str = ""  # an absolute path
    service: str = ""
    command: tuple[str, ...] | None = None
    environment: Mapping[str, str] = field(default_factory=dict)
    ready: Ready | None = None
    is_kept: bool = False  # a reset of the lab doesn't replace the container


@dataclass(frozen=True)
class Host:
    """A host; with ``count`` above 1, as many hosts with numbered names. Without an attachment it gets a
    segment of its own.
    """

    name: str
    attachments: tuple[Attachment, ...] = ()
    aliases: tuple[str, ...] = ()
    count: int = 1
    profile: str = ""  # one of PROFILES, or "$NAME": the value of an environment variable
    base: str = ""  # the image that the host's own image is built from; "" for the usual one
    mounts: tuple[Mount, ...] = ()
    environment: Mapping[str, str] = field(default_factory=dict)  # of a host without a workload
    workload: Workload | None = None


@dataclass(frozen=True)
class Forward:
    """Port forwarding: ``port`` on the router leads to ``to`` on ``host``."""

    port: int
    host: str
    to: int
    protocol: Protocol = "tcp"


@dataclass(frozen=True)
class Router:
    """A router. ``nat`` has the segments behind its address translation; ``routes`` maps a segment to the
    next router on the path to it, in place of the shortest path.
    """

    name: str
    attachments: tuple[Attachment, ...] = ()
    aliases: tuple[str, ...] = ()
    nat: tuple[str, ...] = ()
    forwards: tuple[Forward, ...] = ()
    routes: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Topology:
    """A description of a lab. If it has no router, one router joins all segments."""

    name: str
    segments: tuple[Segment, ...] = ()
    hosts: tuple[Host, ...] = ()
    routers: tuple[Router, ...] = ()
    mgmt: str = ""  # the prefix of the out-of-band network
    compose: str = ""  # the absolute path of the user's Compose file
