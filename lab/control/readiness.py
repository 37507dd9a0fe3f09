"""The conditions under which a program on a host counts as ready."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import suppress
from typing import TypeAlias

from lab.control.agent import NodeAgent
from lab.control.program import CommandTimeout, Program
from lab.locale import message

ANNOUNCEMENT = "listening on"
SILENT = 0.5  # seconds that a program listens without an announcement, which may still be on its way
INTERVAL = 0.05
AGENT_TIMEOUT = 5.0

Ready: TypeAlias = Callable[[Program], None]


def until_line(text: str, timeout: float) -> Ready:
    """The program has printed a line with ``text`` in it. There is no condition if ``text`` is ""."""

    def wait(program: Program) -> None:
        if text:
            program.wait_for_line(text, timeout)

    return wait


def until_listening(agent: NodeAgent, timeout: float) -> Ready:
    """The program has printed the announcement of the lab's programs, or else listens.

    It listens if the host has a listening socket that it doesn't have now. To be called before the start.
    """
    before = listening_sockets(agent)

    def wait(program: Program) -> None:
        deadline, since = time.monotonic() + timeout, float("inf")
        while (now := time.monotonic()) < deadline:
            with suppress(CommandTimeout):
                program.wait_for_line(ANNOUNCEMENT, INTERVAL)
                return
            if not listening_sockets(agent) - before:
                since = float("inf")
            elif now - (since := min(since, now)) >= SILENT:
                return
        raise CommandTimeout(
            program.result,
            str(
                message(
                    'it neither printed "{announcement}" nor listened within {timeout:g} s; for a program'
                    ' that does neither, pass announce="" or a text that it prints',
                    announcement=ANNOUNCEMENT,
                    timeout=timeout,
                )
            ),
        )

    return wait


def listening_sockets(agent: NodeAgent) -> set[int]:
    """The listening sockets of the node, by inode."""
    return set(agent.request("listening", timeout=AGENT_TIMEOUT)["inodes"])
