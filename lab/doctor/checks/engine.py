"""The Docker Engine: whether it answers and is new enough, the user's permission, and limitations."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import Enum
from typing import Any

from lab.doctor.finding import Finding, notice, ok, trouble
from lab.locale import Message, message

CHECK = "engine"
OLDEST = (26,)
CLOCK_DIFFERENCE = 2.0  # seconds; a difference that the engine's answer takes isn't reported


class Refusal(Enum):
    """The reason why no engine answers."""

    NO_SOCKET = "no socket"
    NOBODY_LISTENS = "nobody listens"
    NO_PERMISSION = "no permission"
    OTHER = "other"


@dataclass(frozen=True)
class EngineFacts:
    """The engine that the lab would use."""

    address: str  # unix:///var/run/docker.sock
    variable: str = ""  # the value of DOCKER_HOST
    context: str = ""  # the Docker context, if it isn't the default one
    version: str = ""  # "" if no engine answers
    refusal: Refusal | None = None
    reason: str = ""  # the error, if no engine answers
    user: str = ""
    in_group: bool = False  # the user is in the group of the socket, perhaps since the last login only
    installed: bool = True  # dockerd is on this machine
    systemd: bool = True
    info: Mapping[str, Any] = field(default_factory=dict)  # as shown by `docker info`
    bridge: str = ""  # the device of its default network
    has_bridge: bool = True  # that device is in the network namespace of this process
    received: float = 0.0  # this machine's time when the engine answered, in seconds since the epoch

    @property
    def is_local(self) -> bool:
        """True if the containers run on this machine's kernel."""
        desktop = self.info.get("OperatingSystem") == "Docker Desktop"
        return self.address.startswith("unix://") and not desktop

    @property
    def is_rootless(self) -> bool:
        """True if it runs as an ordinary user, with a network of its own."""
        return "name=rootless" in (self.info.get("SecurityOptions") or ())

    @property
    def shares_network(self) -> bool:
        """True if its networks are those of this process, with its routes and its packet filter."""
        return self.is_local and not self.is_rootless and self.has_bridge


def numbers(version: str) -> tuple[int, ...]:
    """The leading numbers of a version: (26, 1, 5) of "26.1.5+dfsg1"; empty if there are none."""
    found = re.match(r"v?(\d+(?:\.\d+)*)", version)
    return tuple(map(int, found[1].split("."))) if found else ()


def check_engine(facts: EngineFacts) -> Iterator[Finding]:
    """The findings about the engine itself."""
    if not facts.version:
        yield _unreachable(facts)
    elif numbers(facts.version) < OLDEST:
        yield trouble(
            CHECK,
            message("Docker Engine {version} is too old: the lab needs 26", version=facts.version),
            message("update it with the tool that installed it (package docker-ce or docker.io)"),
        )
    else:
        yield ok(CHECK, message("Docker Engine {version} answers", version=facts.version))
        yield from _limitations(facts)


def _unreachable(facts: EngineFacts) -> Finding:
    if facts.refusal is Refusal.NO_PERMISSION:
        text = message("this user may not use the Docker Engine at {address}", address=facts.address)
        return trouble(CHECK, text, _permission(facts))
    text = message(
        "no Docker Engine answers at {address} ({reason})", address=facts.address, reason=facts.reason
    )
    return trouble(CHECK, text, _start(facts))


def _permission(facts: EngineFacts) -> Message:
    if facts.in_group:
        return message(
            "you were added to the group docker after your last login: log in again, or run `newgrp docker`"
        )
    user = shlex.quote(facts.user)
    return message("`sudo usermod --append --groups docker {user}`, then log in again", user=user)


def _start(facts: EngineFacts) -> Message:
    if facts.variable:
        return message(
            "DOCKER_HOST is {value}: correct it, or run `unset DOCKER_HOST` for the engine of this machine",
            value=facts.variable,
        )
    if facts.context:
        return message(
            "the Docker context is {context}: `docker context use default` selects this machine's engine",
            context=facts.context,
        )
    if not facts.installed:
        return message("install Docker Engine 26 or later, with the Compose plugin")
    if facts.systemd:
        return message("`sudo systemctl start docker`")
    return message("start Docker Desktop, or run `sudo dockerd`")


def _limitations(facts: EngineFacts) -> Iterator[Finding]:
    if facts.info.get("MemoryLimit") is False or facts.info.get("PidsLimit") is False:
        yield notice(
            "limits",
            message("the engine can't limit the memory or the processes of a host: one program can use all"),
            message("enable the controllers memory and pids of the kernel's control groups"),
        )
    if facts.is_rootless:
        yield notice(
            "rootless",
            message("the engine is rootless: the lab's tests don't cover that"),
            message("if something fails, try `lab doctor --deep`, then an engine that runs as root"),
        )
    difference = clock_difference(facts)
    if difference is not None and abs(difference) > CLOCK_DIFFERENCE:
        yield notice(
            "clock",
            message("the engine's clock differs from this machine's by {seconds:.0f} s", seconds=difference),
            message("synchronize it (NTP); restart Docker Desktop if the engine runs there"),
        )


def clock_difference(facts: EngineFacts) -> float | None:
    """Seconds that the engine's clock is ahead of this machine's; None if it isn't known."""
    text = re.sub(r"(\.\d{6})\d+", r"\1", str(facts.info.get("SystemTime") or ""))  # nanoseconds
    try:
        return datetime.fromisoformat(text).timestamp() - facts.received
    except ValueError:
        return None
