"""The observers of a lab: each event of its nodes, programs and links is passed to all of them."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from lab.evidence.events import Event, Observe


class EventFanout:
    """Passes each event to every observer, one at a time: events come from several threads.

    It is itself an observer. Observers can be added and removed at any time.
    """

    def __init__(self, *observers: Observe) -> None:
        self._observers = list(observers)
        self._lock = threading.Lock()

    def __call__(self, event: Event) -> None:
        with self._lock:
            for observer in self._observers:
                observer(event)

    @contextmanager
    def also(self, observe: Observe) -> Iterator[None]:
        """Passes the events to ``observe`` too while the context lasts; none reaches it afterwards."""
        with self._lock:
            self._observers.append(observe)
        try:
            yield
        finally:
            with self._lock:
                self._observers.remove(observe)
