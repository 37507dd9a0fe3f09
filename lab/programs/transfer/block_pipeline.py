"""A pipeline of steps for the blocks of a file, such as hashing and writing, each in its own thread.

hashlib and file I/O release the interpreter's lock. So with two cores, one block is received from the
network while the previous one is hashed and the one before that is written. A few blocks are reused, so
memory is constant and the blocks stay in the processor's cache.
"""

from __future__ import annotations

import mmap
import threading
from collections.abc import Callable, Sequence
from queue import SimpleQueue
from types import TracebackType
from typing import TypeAlias

Step: TypeAlias = Callable[[memoryview], object]

BLOCK = 1 << 20  # bytes; measured: 256 KiB is 20% slower, 4 MiB doesn't fit in the cache
BLOCKS = 4
SMALL_BLOCK = 1 << 17  # bytes; used without threads
_LANES = threading.BoundedSemaphore(8)  # pipelines that may have threads and large blocks at once


class BlockPipeline:
    """Take a block, fill it, put it into the pipeline; each step sees the blocks in order.

    For at most one BLOCK of data, or if there are too many pipelines already, ``put`` itself runs the steps:
    otherwise 512 clients would need 2 GiB and 1,536 threads. The next call raises the exception of a step.
    """

    def __init__(self, steps: Sequence[Step], total: int) -> None:
        self._steps = steps
        self._error: BaseException | None = None
        self._queues: list[SimpleQueue[tuple[memoryview, int] | None]] = []
        self._free: SimpleQueue[memoryview] = SimpleQueue()
        self._threads: list[threading.Thread] = []
        self._lane = total > BLOCK and _LANES.acquire(blocking=False)
        size, count = (BLOCK, BLOCKS) if self._lane else (SMALL_BLOCK, 1)
        memory = memoryview(mmap.mmap(-1, size * count))  # page-aligned, as O_DIRECT requires
        for start in range(0, size * count, size):
            self._free.put(memory[start : start + size])

    def __enter__(self) -> BlockPipeline:
        if self._lane:
            self._queues = [SimpleQueue() for _ in self._steps]
            self._threads = [
                threading.Thread(target=self._run, args=(number,), name="pipeline", daemon=True)
                for number in range(len(self._steps))
            ]
            for thread in self._threads:
                thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: object, trace: TracebackType | None) -> None:
        """Waits until all blocks have passed through. Raises the exception of a step."""
        if self._lane:
            self._queues[0].put(None)
            for thread in self._threads:
                thread.join()
            _LANES.release()
        if kind is None:
            self._raise()

    def take(self) -> memoryview:
        """A free block. Waits until there is one."""
        block = self._free.get()
        self._raise()
        return block

    def put(self, block: memoryview, count: int) -> None:
        """Passes on ``block`` with ``count`` bytes of data. The caller must not use it any more."""
        if self._lane:
            self._queues[0].put((block, count))
            return
        for step in self._steps:
            step(block[:count])
        self._free.put(block)

    def _run(self, number: int) -> None:
        """The thread of one step: takes blocks from its queue, passes them to the next queue or frees
        them.
        """
        last = number == len(self._steps) - 1
        while (item := self._queues[number].get()) is not None:
            block, count = item
            if self._error is None:
                try:
                    self._steps[number](block[:count])
                except BaseException as error:
                    self._error = error
            if last:
                self._free.put(block)
            else:
                self._queues[number + 1].put(item)
        if not last:
            self._queues[number + 1].put(None)

    def _raise(self) -> None:
        if self._error is not None:
            raise self._error
