"""Applies settings on the router, reads those in force, and compares them with the requested ones."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from lab.control.host import Host
from lab.errors import EnvironmentFailure, LabError, Unsupported
from lab.link.settings import LinkSettings
from lab.link.traffic_control import BACKENDS

COMMAND = "sudo -n /usr/lib/socketlab/impair"
SETTINGS_FILE = "/run/socketlab/link.json"  # exists while lab/agent/impair.py has settings in force
TIMEOUT = 20.0  # seconds


class LinkFailure(LabError):
    """The link doesn't behave as requested, so a run on it proves nothing."""


@dataclass(frozen=True)
class Status:
    """The router's answer: the capabilities of its kernel, and the settings in force (None if none are)."""

    can: dict[str, Any]
    now: dict[str, Any] | None

    @property
    def settings(self) -> LinkSettings:
        return LinkSettings.from_json(self.now["link"]) if self.now else LinkSettings()

    @property
    def backend(self) -> str:
        """The backend in use or, if nothing is set, the one that would be used; "none" if none works."""
        if self.now:
            return str(self.now["backend"])
        return next((name for name in BACKENDS if self.can[name]), "none")

    @property
    def alive(self) -> bool:
        """False if the process that serves the packet queues has died: then the link is cut."""
        return self.now is None or bool(self.now["alive"])

    @property
    def id(self) -> str:
        """Identifies the request that made these settings; "" if nothing is set."""
        return str(self.now["id"]) if self.now else ""

    @property
    def boot(self) -> str:
        """Identifies the router's start."""
        return str(self.can["boot"])

    @property
    def delivered(self) -> dict[str, Any]:
        """Counters by direction, and for each Drop how many packets matched and how many were dropped."""
        return {key: self.now[key] for key in ("counts", "drops")} if self.now else {}


def difference(asked: Status, found: Status) -> str:
    """How ``found`` differs from ``asked``, the answer to the last request; "" if nothing was changed since.

    Each request gets a unique id, so another request is detected even if its settings are the same.
    """
    lost = asked.now is not None and found.now is None
    if lost and found.boot != asked.boot:
        return f"the router was restarted and lost its settings: asked {asked.settings.describe()}"
    if found.id != asked.id:
        return (
            "somebody else changed the link: "
            f"asked {asked.settings.describe()}, found {found.settings.describe()}"
        )
    if not found.alive:
        return "the process that impairs the link has died; since then the link has been cut"
    return ""


class RouterLink:
    """The link's settings on one router."""

    def __init__(self, router: Host) -> None:
        self.router = router

    @property
    def segments(self) -> Sequence[str]:
        return self.router.node.segments

    def show(self) -> Status:
        """The settings in force now."""
        answer = self._ask({"op": "show"})
        return Status(answer["can"], answer["now"])

    def has_settings(self) -> bool:
        """False if nothing is in force. Takes a few milliseconds, because it doesn't start ``impair``."""
        return self.router.ask(f"test -e {SETTINGS_FILE}", timeout=TIMEOUT).exit_code != 1

    def apply(
        self, link: LinkSettings, *, backend: str | None, seed: str | None, counted: list[list[int]] | None
    ) -> tuple[Status, Status]:
        """Replaces all settings. Returns those before and after.

        None keeps the current ``backend`` or ``seed``. ``counted`` lists the initial counters of each drop;
        None keeps those of the drops that stay. Raises Unsupported if no backend supports the settings.
        """
        addresses = dict(zip(self.segments, self.router.node.addresses, strict=True))
        request = {"op": "apply", "interfaces": addresses, "link": link.as_json()}
        answer = self._ask(request | {"backend": backend, "seed": seed, "counted": counted})
        if "unsupported" in answer:
            missing = ", ".join(answer["unsupported"])
            raise Unsupported(f"the link's backend here ({answer['backend']}) can't do: {missing}")
        return Status(answer["can"], answer["before"]), Status(answer["can"], answer["now"])

    def _ask(self, request: dict[str, Any]) -> dict[str, Any]:
        result = self.router.ask(COMMAND, stdin=json.dumps(request) + "\n", timeout=TIMEOUT)
        if not result.output:
            why = (result.stderr.strip() or result.ending).splitlines()[-1]
            raise EnvironmentFailure(f"{self.router.title}: {why}")
        answer: dict[str, Any] = json.loads(result.output)
        return answer
