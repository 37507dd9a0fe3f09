"""Draws the page of a run: at once, or in the background while the next scenario is played."""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import TracebackType
from typing import TypeAlias

from lab.evidence.events import Note, Observe
from lab.evidence.packets.traffic import Traffic

Draw: TypeAlias = Callable[[Path, Traffic, Observe], object]


def prepare() -> None:
    """Imports and compiles the part of ``draw`` that is the same for every run: as long as a short run."""
    from lab.evidence import trace  # not at the top: a run begins without it

    trace.prepare()


def draw(folder: Path, traffic: Traffic, observe: Observe) -> None:
    """Writes trace.html. A failure is reported as a note and doesn't change the verdict."""
    try:
        from lab.evidence import trace

        trace.write(folder, traffic)
    except Exception as error:
        why = f"can't write trace.html: {type(error).__name__}: {error}"
        observe(Note(time.time(), "lab", why))


class DrawingThread:
    """Draws the pages of several runs in one thread. The end of the context waits for the last page; then
    failures are reported, each with the folder of its run.
    """

    def __init__(self) -> None:
        self._pool = ThreadPoolExecutor(max_workers=1, thread_name_prefix="draw trace.html")
        self._failures: list[tuple[Observe, Note]] = []

    def __enter__(self) -> DrawingThread:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, place: TracebackType | None
    ) -> None:
        self._pool.shutdown()
        for observe, note in self._failures:
            observe(note)

    def draw(self, folder: Path, traffic: Traffic, observe: Observe) -> None:
        """Returns at once. ``observe`` is called at the end, if at all."""

        def failed(event: object) -> None:
            assert isinstance(event, Note)
            self._failures.append((observe, Note(event.at, event.node, f"{folder}: {event.text}")))

        self._pool.submit(draw, folder, traffic, failed)
