"""Removes the labs of sessions that were killed, while this one starts its own."""

from __future__ import annotations

import threading
from contextlib import suppress

from lab.engine.client import Engine
from lab.engine.lifecycle import leftovers
from lab.errors import EnvironmentFailure
from lab.locale import _

JOIN_TIMEOUT = 10.0  # seconds that the end of a session waits; the next one removes the rest


class LeftoverRemoval:
    """Runs in a thread. ``lines`` has a line for each lab that was removed."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Starts it, the first time."""
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, daemon=True, name="leftover labs")
            self._thread.start()

    def wait(self) -> None:
        """Waits until it has finished, or JOIN_TIMEOUT seconds."""
        if self._thread is not None:
            self._thread.join(JOIN_TIMEOUT)

    def _run(self) -> None:
        with suppress(EnvironmentFailure), Engine() as engine:
            for left in leftovers.find(engine):
                with suppress(EnvironmentFailure):  # another process uses it, or removes it
                    if leftovers.remove_completely(engine, left):
                        text = _("removed the lab {name}: its process {pid} has ended")
                        self.lines.append(text.format(name=left.project, pid=left.pid))
