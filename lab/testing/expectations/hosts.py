"""``expect(host)``: which servers a host can reach."""

from __future__ import annotations

import ipaddress
import json
import shlex
import time
from dataclasses import dataclass
from typing import Literal, TypeAlias, get_args

from lab.control.host import Host
from lab.errors import EnvironmentFailure, UsageError
from lab.locale import _, from_environment, message, messages
from lab.testing.expectations import current
from lab.testing.expectations.waiting import check_port, check_seconds, failed

ANSWER_TIMEOUT = 10.0  # seconds beyond the time that the attempts take
PROTOCOLS = ("tcp", "udp")

Obstacle: TypeAlias = Literal["refused", "reset", "unreachable", "timed out"]
OBSTACLES: tuple[str, ...] = get_args(Obstacle)
UNRESOLVED = "unresolved"  # the outcome of lab.agent.reach that is a mistake of the test


@dataclass(frozen=True)
class Attempts:
    """The outcome of attempts to reach a server: "reached", or an Obstacle."""

    outcome: str
    error: str
    attempts: int

    def describe(self) -> str:
        attempts = messages("{count} attempt", "{count} attempts", count=self.attempts)
        texts = {
            "reached": _("it was reached ({count})"),
            "refused": _("the connection was refused ({count}): nothing listens there"),
            "reset": _("the connection was reset ({count})"),
            "unreachable": _("it is unreachable ({count}): {error}"),
            "timed out": _("there was no answer ({count})"),
        }
        return texts[self.outcome].format(count=attempts.in_language(from_environment()), error=self.error)


class HostExpectation:
    """Expectations of a host."""

    def __init__(self, host: Host) -> None:
        self._host = host

    def to_reach(
        self,
        server: Host | str,
        port: int,
        *,
        protocol: str = "tcp",
        ipv6: bool = False,
        timeout: float = 5.0,
    ) -> None:
        """The server is reached within ``timeout`` seconds; attempts are repeated until then.

        TCP reaches a server when the connection is established; it is closed at once. UDP reaches a server
        when it has answered a datagram. ``server`` is a host, the name of a node, or an IP address.
        """
        __tracebackhide__ = True
        check_seconds("timeout", timeout)
        began = time.time()
        found = self._try(server, port, protocol, ipv6, timeout)
        if found.outcome != "reached":
            text = _("expected {host} to reach {server} within {seconds:g} s, but {outcome}")
            raise failed(self._line(text, server, port, protocol, timeout, found), since=began)

    def not_to_reach(
        self,
        server: Host | str,
        port: int,
        *,
        protocol: str = "tcp",
        ipv6: bool = False,
        during: float = 1.0,
        obstacle: Obstacle | None = None,
    ) -> Obstacle:
        """The server isn't reached in ``during`` seconds; attempts are repeated until then.

        Returns the reason: "refused" (the host answered that nothing listens), "reset", "unreachable" (no
        route, or a router's ICMP error), or "timed out" (no answer). With ``obstacle``, any other reason is a
        failure.
        """
        __tracebackhide__ = True
        check_seconds("during", during)
        _check_word("obstacle", obstacle, (None, *OBSTACLES))
        began = time.time()
        found = self._try(server, port, protocol, ipv6, during)
        if found.outcome == "reached" or obstacle not in (None, found.outcome):
            text = _("expected {host} not to reach {server} during {seconds:g} s, but {outcome}")
            if obstacle is not None:
                text = _("expected {host} not to reach {server} ({obstacle}), but {outcome}")
            line = self._line(text, server, port, protocol, during, found, obstacle or "")
            raise failed(line, since=began)
        reason: Obstacle = found.outcome  # type: ignore[assignment]
        return reason

    def _try(self, server: Host | str, port: int, protocol: str, ipv6: bool, seconds: float) -> Attempts:
        check_port(port)
        if not isinstance(server, Host | str):
            raise UsageError(message("{value!r} is neither a host nor a name", value=server))
        _check_word("protocol", protocol, PROTOCOLS)
        address = _checked(server) if isinstance(server, str) else server.address6 if ipv6 else server.address
        command = ["python3", "-P", "-S", "-m", "lab.agent.reach", protocol, address, str(port), str(seconds)]
        result = self._host.ask(shlex.join(command), timeout=seconds + ANSWER_TIMEOUT)
        if not result.ok:
            raise EnvironmentFailure(result.describe())
        found = Attempts(**json.loads(result.stdout))
        if found.outcome == UNRESOLVED:
            raise UsageError(
                message(
                    "{host} can't resolve {name!r}: {error}",
                    host=self._host.title,
                    name=address,
                    error=found.error,
                )
            )
        return found

    def _line(
        self,
        text: str,
        server: Host | str,
        port: int,
        protocol: str,
        seconds: float,
        found: Attempts,
        obstacle: str = "",
    ) -> str:
        name = server if isinstance(server, str) else server.title
        return text.format(
            host=self._host.title,
            server=f"{name}:{port} ({protocol})",
            seconds=seconds,
            outcome=found.describe(),
            obstacle=obstacle,
        )


def _checked(server: str) -> str:
    """Raises UsageError unless ``server`` is an IP address, "localhost", or the name of a node.

    A lab whose nodes aren't known is no test's; there the host resolves the name.
    """
    try:
        return str(ipaddress.ip_address(server))
    except ValueError:
        if current.lab is not None and server != "localhost":
            current.lab[server]
        return server


def _check_word(name: str, value: object, known: tuple[str | None, ...]) -> None:
    if value not in known:
        listed = ", ".join(filter(None, known))
        raise UsageError(message("{name}={value!r}: expected {known}", name=name, value=value, known=listed))
