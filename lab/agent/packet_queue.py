"""The impaired line: takes packets out of the kernel's queues and lets each go on as its fate says.

One process, one line a direction. It dies with what it does: a queue without a consumer drops all packets.
"""

from __future__ import annotations

import gc
import heapq
import mmap
import select
import signal
import time
from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress

from lab.link.impairment_model import HEADERS, DropRule, ImpairmentModel, flip_bit, parse
from lab.link.settings import DIRECTIONS, MAX_DROPS, Impairment, LinkSettings
from lab.sockets.nfqueue import WHOLE, Injector, Packet, Queue, payload
from lab.sockets.stop import Stop

BATCH = 128  # packets taken before the other direction, and those that are due, get their turn
COUNTED = ("packets", "lost", "dropped", "corrupted", "duplicated", "reordered", "latest_us")
PACKETS, LOST, DROPPED, CORRUPTED, DUPLICATED, REORDERED, LATEST = range(len(COUNTED))


class Stats:
    """Counters in memory that another process can read: a row for each direction, then two for each Drop."""

    SIZE = 8 * (len(DIRECTIONS) * len(COUNTED) + 2 * MAX_DROPS)  # bytes

    def __init__(self, memory: mmap.mmap | bytearray) -> None:
        self._numbers = memoryview(memory).cast("Q")

    def row(self, direction: str) -> memoryview[int]:
        begin = DIRECTIONS.index(direction) * len(COUNTED)
        return self._numbers[begin : begin + len(COUNTED)]

    def drop(self, number: int) -> memoryview[int]:
        """How many packets matched Drop ``number``, and how many of them it took."""
        begin = len(DIRECTIONS) * len(COUNTED) + 2 * number
        return self._numbers[begin : begin + 2]


class Line:
    """One direction: packets in, decided, held for as long as they must be, and out again."""

    def __init__(
        self,
        direction: str,
        number: int,
        link: LinkSettings,
        seed: str,
        droppers: Sequence[DropRule],
        counted: memoryview[int],
        injector: Injector,
    ) -> None:
        asked = link[direction]
        self.direction = direction
        self._delay = asked.delay
        self._alike = asked.is_delay_only and not droppers
        self._in_order = not (asked.jitter or asked.reordering)
        self._fates = ImpairmentModel(asked, seed, direction)
        self._droppers = droppers
        self._counted = counted
        self._injector = injector
        self._line: deque[tuple[float, int]] = deque()  # (due, id), where packets leave as they came
        self._heap: list[tuple[float, int]] = []  # where they may overtake
        self._changed: dict[int, bytes] = {}
        self._doubled: dict[int, bytes] = {}
        self._queue = Queue(number, copied=_copied(asked, self._alike), whole_bursts=self._alike)

    def fileno(self) -> int:
        return self._queue.fileno()

    def close(self) -> None:
        self._queue.close()

    def next_due(self) -> float | None:
        """When the next packet has to leave; None where none is held."""
        if self._line:
            return self._line[0][0]
        return self._heap[0][0] if self._heap else None

    def take(self) -> int:
        """Takes what has come, and decides on it. Returns how many packets that were."""
        packets = self._queue.receive(BATCH)
        self._counted[PACKETS] += len(packets)
        now = time.monotonic()
        if self._alike:
            due = now + self._delay
            self._line.extend([(due, number) for number, _ in packets])
        else:
            self._decide(packets, now)
        return len(packets)

    def release(self, now: float) -> None:
        """Lets go what is due."""
        if self._line and self._line[0][0] <= now:
            self._note_lateness(now - self._line[0][0])
            self._release_in_order(now)
        if self._heap and self._heap[0][0] <= now:
            self._note_lateness(now - self._heap[0][0])
            self._release_by_time(now)

    def _decide(self, packets: Iterable[Packet], now: float) -> None:
        counted, fate_of, gone = self._counted, self._fates.next, []
        for number, notice in packets:
            packet = payload(notice)
            header = parse(packet)
            fate = fate_of(header[:5])
            # Every Drop counts every packet, also one that another takes.
            if self._droppers and any([dropper.takes(header, self.direction) for dropper in self._droppers]):
                counted[DROPPED] += 1
                gone.append(number)
                continue
            if fate.lost:
                counted[LOST] += 1
                gone.append(number)
                continue
            if fate.corrupted_at is not None:
                counted[CORRUPTED] += 1
                packet = self._changed[number] = flip_bit(packet, fate.corrupted_at)
            if fate.duplicated:
                counted[DUPLICATED] += 1
                self._doubled[number] = packet
            if self._in_order:
                self._line.append((now + fate.delay, number))
            else:
                counted[REORDERED] += fate.early
                heapq.heappush(self._heap, (now + fate.delay, number))
        if gone:
            self._queue.drop(gone)

    def _release_in_order(self, now: float) -> None:
        due = []
        while self._line and self._line[0][0] <= now:
            due.append(self._line.popleft()[1])
        if self._changed or self._doubled:
            self._send(due)
        else:
            self._queue.accept_up_to(due[-1])  # all with a lower number are due or gone

    def _release_by_time(self, now: float) -> None:
        due = []
        while self._heap and self._heap[0][0] <= now:
            due.append(heapq.heappop(self._heap)[1])
        self._send(due)

    def _send(self, due: Sequence[int]) -> None:
        """One by one where something special is to be done, else all together; in order in any case."""
        plain: list[int] = []
        for number in due:
            changed, copy = self._changed.pop(number, None), self._doubled.pop(number, None)
            if changed is None:
                plain.append(number)
            if changed is not None or copy is not None:
                self._queue.accept(plain)
                plain = []
            if changed is not None:
                self._queue.replace(number, changed)
            if copy is not None:
                with suppress(OSError):  # no room on the way out: then the copy is lost there
                    self._injector.send(copy)
        self._queue.accept(plain)

    def _note_lateness(self, seconds: float) -> None:
        if self._counted[LATEST] < seconds * 1e6 < 2**62:  # infinite where all are let go at once
            self._counted[LATEST] = int(seconds * 1e6)


class Lines:
    """The lines of a link, as they run in a process of their own."""

    def __init__(self, link: LinkSettings, seed: str, queues: Mapping[str, int], stats: Stats) -> None:
        """Opens the queues: packets may come from now on. Raises OSError."""
        self._stop, self._flush = Stop(), False
        droppers = [DropRule(drop, stats.drop(n)) for n, drop in enumerate(link.drops)]
        self._injector = Injector()
        self._lines: list[Line] = []
        try:
            for direction, number in queues.items():
                line = Line(direction, number, link, seed, droppers, stats.row(direction), self._injector)
                self._lines.append(line)
        except BaseException:
            self.close()
            raise

    def run(self) -> None:
        """Serves until SIGTERM, then until nothing is held any more. SIGUSR1: what is held leaves at once."""
        signal.signal(signal.SIGTERM, self._on_signal)
        signal.signal(signal.SIGUSR1, self._on_signal)
        gc.disable()  # nothing here has cycles, and a collection would make packets late
        while not (self._stop.is_set() and self._are_empty()):
            self._turn()

    def close(self) -> None:
        for line in self._lines:
            line.close()
        self._injector.close()
        self._stop.close()

    def _turn(self) -> None:
        waiting: list[Line | Stop] = [*self._lines]
        if not self._stop.is_set():
            waiting.append(self._stop)
        for ready in select.select(waiting, [], [], self._patience())[0]:
            if isinstance(ready, Line):
                ready.take()
        now = float("inf") if self._flush else time.monotonic()
        for line in self._lines:
            line.release(now)

    def _patience(self) -> float | None:
        """Seconds until something has to be done, whether packets come or not."""
        due = [moment for line in self._lines if (moment := line.next_due()) is not None]
        if not due:
            return 0.0 if self._stop.is_set() else None
        return 0.0 if self._flush else max(0.0, min(due) - time.monotonic())

    def _are_empty(self) -> bool:
        """Asked after a turn that found nothing to take, as nothing is sent to these queues any more."""
        return all(line.next_due() is None and not line.take() for line in self._lines)

    def _on_signal(self, number: int, _: object) -> None:
        self._flush = self._flush or number == signal.SIGUSR1
        self._stop.set()


def _copied(asked: Impairment, alike: bool) -> int:
    """How many bytes of a packet must be seen: none, its headers, or all to change or copy it."""
    if alike:
        return 0
    return WHOLE if asked.corruption or asked.duplication else HEADERS
