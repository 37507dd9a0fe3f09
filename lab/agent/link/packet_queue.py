"""The router's packet queues: receives packets from the kernel, and drops, changes or delays each of them.

One process serves both directions of a link. If it dies, the link is cut: the kernel drops the packets of a
queue that has no consumer.
"""

from __future__ import annotations

import gc
import heapq
import mmap
import select
import signal
import time
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress

from lab.link.impairment_model import HEADERS, DropRule, ImpairmentModel, flip_bit, parse
from lab.link.settings import MAX_DROPS, Impairment, LinkSettings
from lab.sockets.netlink.nfqueue import WHOLE, Injector, Packet, Queue, payload
from lab.sockets.stop import Stop

BATCH = 128  # packets taken from one queue before the next is served and due packets are released
COUNTED = ("packets", "lost", "dropped", "corrupted", "duplicated", "reordered", "latest_us")
PACKETS, LOST, DROPPED, CORRUPTED, DUPLICATED, REORDERED, LATEST = range(len(COUNTED))


class Counters:
    """Counters in memory that another process can read: two for each Drop, then a row for each direction."""

    def __init__(self, memory: mmap.mmap | bytearray, directions: Sequence[str]) -> None:
        self._numbers = memoryview(memory).cast("Q")
        self._directions = directions

    @staticmethod
    def size(directions: int) -> int:
        """The size in bytes for this number of directions."""
        return 8 * (2 * MAX_DROPS + directions * len(COUNTED))

    def row(self, direction: str) -> memoryview[int]:
        begin = 2 * MAX_DROPS + self._directions.index(direction) * len(COUNTED)
        return self._numbers[begin : begin + len(COUNTED)]

    def drop(self, number: int) -> memoryview[int]:
        """How many packets matched Drop ``number``, and how many of them it dropped."""
        return self._numbers[2 * number : 2 * number + 2]


class DirectionQueue:
    """The queue of one direction. It decides on each packet, holds it until it is due, and releases it."""

    def __init__(
        self,
        direction: str,
        number: int,
        link: LinkSettings,
        seed: str,
        drop_rules: Sequence[DropRule],
        counters: memoryview[int],
        priority: int = 0,
    ) -> None:
        """``priority`` is that of copies of duplicated packets: it puts them into a class of the qdisc."""
        asked = link[direction]
        self.direction = direction
        self._delay = asked.delay
        self._alike = asked.is_delay_only and not drop_rules
        self._in_order = not (asked.jitter or asked.reordering)
        self._model = ImpairmentModel(asked, seed, direction)
        self._drop_rules = drop_rules
        self._counters = counters
        self._line: deque[tuple[float, int]] = deque()  # (due, id), if packets leave in order of arrival
        self._heap: list[tuple[float, int]] = []  # (due, id), if packets may overtake each other
        self._corrupted: dict[int, bytes] = {}
        self._duplicated: dict[int, bytes] = {}
        self._injector = Injector(priority)
        try:
            self._queue = Queue(number, copied=_copied(asked, self._alike), whole_bursts=self._alike)
        except BaseException:
            self._injector.close()
            raise

    def fileno(self) -> int:
        return self._queue.fileno()

    def close(self) -> None:
        self._queue.close()
        self._injector.close()

    def next_due(self) -> float | None:
        """The time at which the next packet must leave; None if no packet is held."""
        if self._line:
            return self._line[0][0]
        return self._heap[0][0] if self._heap else None

    def take(self) -> int:
        """Takes the packets that have arrived and decides on them. Returns their number."""
        packets = self._queue.receive(BATCH)
        self._counters[PACKETS] += len(packets)
        now = time.monotonic()
        if self._alike:
            due = now + self._delay
            self._line.extend([(due, number) for number, _ in packets])
        else:
            self._decide(packets, now)
        return len(packets)

    def release(self, now: float) -> None:
        """Releases the packets that are due."""
        if self._line and self._line[0][0] <= now:
            self._note_lateness(now - self._line[0][0])
            self._release_in_order(now)
        if self._heap and self._heap[0][0] <= now:
            self._note_lateness(now - self._heap[0][0])
            self._release_by_time(now)

    def _decide(self, packets: Iterable[Packet], now: float) -> None:
        counters, decide, gone = self._counters, self._model.next, []
        for number, message in packets:
            packet = payload(message)
            header = parse(packet)
            decision = decide(header[:5])
            # A list, so that every rule counts every packet, even one that another rule drops.
            if self._drop_rules and any([rule.drops(header, self.direction) for rule in self._drop_rules]):
                counters[DROPPED] += 1
                gone.append(number)
                continue
            if decision.lost:
                counters[LOST] += 1
                gone.append(number)
                continue
            if decision.corrupted_at is not None:
                counters[CORRUPTED] += 1
                packet = self._corrupted[number] = flip_bit(packet, decision.corrupted_at)
            if decision.duplicated:
                counters[DUPLICATED] += 1
                self._duplicated[number] = packet
            if self._in_order:
                self._line.append((now + decision.delay, number))
            else:
                counters[REORDERED] += decision.early
                heapq.heappush(self._heap, (now + decision.delay, number))
        if gone:
            self._queue.drop(gone)

    def _release_in_order(self, now: float) -> None:
        due = []
        while self._line and self._line[0][0] <= now:
            due.append(self._line.popleft()[1])
        if self._corrupted or self._duplicated:
            self._send(due)
        else:
            self._queue.accept_up_to(due[-1])  # those with a lower id are due or gone

    def _release_by_time(self, now: float) -> None:
        due = []
        while self._heap and self._heap[0][0] <= now:
            due.append(heapq.heappop(self._heap)[1])
        self._send(due)

    def _send(self, due: Sequence[int]) -> None:
        """Releases packets in order: corrupted or duplicated ones one by one, the others in one message."""
        plain: list[int] = []
        for number in due:
            changed, copy = self._corrupted.pop(number, None), self._duplicated.pop(number, None)
            if changed is None:
                plain.append(number)
            if changed is not None or copy is not None:
                self._queue.accept(plain)
                plain = []
            if changed is not None:
                self._queue.replace(number, changed)
            if copy is not None:
                with suppress(OSError):  # the outgoing queue is full, so the copy is lost
                    self._injector.send(copy)
        self._queue.accept(plain)

    def _note_lateness(self, seconds: float) -> None:
        if self._counters[LATEST] < seconds * 1e6 < 2**62:  # infinite if all packets are released at once
            self._counters[LATEST] = int(seconds * 1e6)


class QueueWorker:
    """Serves the queues of a link, in a separate process."""

    def __init__(
        self,
        link: LinkSettings,
        seed: str,
        queues: Mapping[str, int],
        counters: Counters,
        priority: Callable[[str], int],
    ) -> None:
        """Opens the queues; packets may arrive from now on. Raises OSError."""
        self._stop, self._flush = Stop(), False
        rules = [DropRule(drop, counters.drop(n)) for n, drop in enumerate(link.drops)]
        self._queues: list[DirectionQueue] = []
        try:
            for direction, number in queues.items():
                row = counters.row(direction)
                queue = DirectionQueue(direction, number, link, seed, rules, row, priority(direction))
                self._queues.append(queue)
        except BaseException:
            self.close()
            raise

    def run(self) -> None:
        """Serves until SIGTERM, then until no packet is held. SIGUSR1 releases all held packets at once."""
        signal.signal(signal.SIGTERM, self._on_signal)
        signal.signal(signal.SIGUSR1, self._on_signal)
        gc.disable()  # there are no reference cycles here, and a collection would make packets late
        while not (self._stop.is_set() and self._are_empty()):
            self._turn()

    def close(self) -> None:
        for queue in self._queues:
            queue.close()
        self._stop.close()

    def _turn(self) -> None:
        waiting: list[DirectionQueue | Stop] = [*self._queues]
        if not self._stop.is_set():
            waiting.append(self._stop)
        for ready in select.select(waiting, [], [], self._time_left())[0]:
            if isinstance(ready, DirectionQueue):
                ready.take()
        now = float("inf") if self._flush else time.monotonic()
        for queue in self._queues:
            queue.release(now)

    def _time_left(self) -> float | None:
        """Seconds until the next packet is due; None if no packet is held."""
        due = [moment for queue in self._queues if (moment := queue.next_due()) is not None]
        if not due:
            return 0.0 if self._stop.is_set() else None
        return 0.0 if self._flush else max(0.0, min(due) - time.monotonic())

    def _are_empty(self) -> bool:
        """True if no packet is held and none arrives: after SIGTERM no more packets enter these queues."""
        return all(queue.next_due() is None and not queue.take() for queue in self._queues)

    def _on_signal(self, number: int, _: object) -> None:
        self._flush = self._flush or number == signal.SIGUSR1
        self._stop.set()


def _copied(asked: Impairment, alike: bool) -> int:
    """The bytes to copy of each packet: none, the headers, or all to corrupt or duplicate it."""
    if alike:
        return 0
    return WHOLE if asked.corruption or asked.duplication else HEADERS
