"""Removes leftovers in a thread, while a command or a session does its own work."""

from __future__ import annotations

import threading
from contextlib import suppress

from lab.engine.client import Engine
from lab.engine.lifecycle import leftovers
from lab.engine.lifecycle.leftovers import Leftover

LOOK_TIMEOUT = 0.1  # seconds at the end of a command to look for leftovers
REMOVE_TIMEOUT = 3.0  # seconds to wait for a removal that has begun


class BackgroundRemoval:
    """Looks for leftovers once and removes them. It never fails: the next command tries again."""

    def __init__(self, besides: str = "") -> None:
        """The lab ``besides`` is kept: the command that uses it takes care of it."""
        self._besides = besides
        self._found: list[Leftover] = []
        self._removed: list[Leftover] = []
        self._looked = threading.Event()
        self._thread = threading.Thread(target=self._run, name="leftovers", daemon=True)
        self._thread.start()

    def finish(self) -> list[Leftover]:
        """The labs that were removed. Waits up to REMOVE_TIMEOUT if one is being removed."""
        if self._looked.wait(LOOK_TIMEOUT) and self._found:
            self._thread.join(REMOVE_TIMEOUT)
        return list(self._removed)

    def _run(self) -> None:
        with suppress(Exception), Engine() as engine:  # the command reports errors of the engine itself
            self._found = [each for each in leftovers.find(engine) if each.project != self._besides]
            self._looked.set()
            for lab in self._found:
                if leftovers.remove_completely(engine, lab):
                    self._removed.append(lab)
