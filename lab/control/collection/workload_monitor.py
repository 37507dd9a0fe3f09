"""The output, starts and ends of a user's container, as events on the controller's clock.

The engine's log has a time for each line. A run has the lines after the position of the log at its beginning:
no line of an earlier run, and every line of this one, even if the container is switched off in between.
"""

from __future__ import annotations

import shlex
import signal
import threading
import time
from collections.abc import Callable

from lab.control.collection.clock import Clock
from lab.control.host import Host
from lab.control.process import deadline
from lab.control.program import MAX_OUTPUT, program_numbers
from lab.control.workload import OutputLog, Workload
from lab.engine.workloads.model import LogEntry, WorkloadState, exit_signal
from lab.errors import LabError
from lab.evidence.events import Note, Observe, Output, Stream, WorkloadEnded, WorkloadStarted
from lab.remote.line_splitter import LineSplitter

SETTLE = 0.04  # seconds between two checks whether the engine has logged more
SETTLED = 3  # such checks without a new line
INTERVAL = 0.05  # seconds between two checks whether the container was started again
FLUSH_TIMEOUT = 2.0
END_TIMEOUT = 1.0  # seconds from the end of the output until the engine has the new state
STOP_TIMEOUT = 5.0
LAST_LINES = 5  # of a container that ended
NO_RUN = -1.0
STREAMS: dict[str, Stream] = {"stdout": "stdout", "stderr": "stderr"}


class WorkloadMonitor:
    """Follows one container. It is ready at once; ``begin`` lets its events through."""

    def __init__(self, host: Host, workload: Workload, observe: Observe) -> None:
        """Raises EnvironmentFailure."""
        self.ended = ""  # the reason, if it ended before the run did
        self._node = host.title
        self._workload = workload
        self._observe = observe
        self._number = next(program_numbers)
        self._passed = workload.position()  # the last line that was passed on, and its pieces so far
        self._first_state = workload.state()
        self._clock = Clock()
        self._ended_run = NO_RUN  # the start of the container's run whose end was reported last
        self._size = 0
        self._at = 0.0  # the time of the line that is being passed on
        self._splitters = {stream: LineSplitter(self._on_line(stream)) for stream in STREAMS}
        self._log: OutputLog | None = None
        self._stopping = threading.Event()
        self._changed = threading.Condition()
        self._thread = threading.Thread(target=self._follow, daemon=True, name=f"follow {workload.name}")

    def begin(self, clock: Clock) -> None:
        """Passes on the events since this was created, with their times corrected by ``clock``."""
        self._clock = clock
        self._thread.start()

    def flush(self) -> None:
        """Returns when all earlier output, and the end of the container, have been passed on.

        The engine reads the output from a pipe, and doesn't report that the pipe is empty. So this waits
        until the log stops growing, at most FLUSH_TIMEOUT seconds.
        """
        left = deadline(FLUSH_TIMEOUT)
        try:
            position, state = self._settled(left), self._workload.state()
        except LabError:
            return  # the thread reports it

        def passed_on() -> bool:
            ended = state.running or self._ended_run == state.started
            return (self._passed >= position and ended) or not self._thread.is_alive()

        with self._changed:
            self._changed.wait_for(passed_on, left())

    def _settled(self, left: Callable[[], float]) -> tuple[int, int]:
        """The position of the last line, when SETTLED checks have found no other one."""
        position, unchanged = self._workload.position(), 0
        while unchanged < SETTLED and left():
            time.sleep(SETTLE)
            last, position = position, self._workload.position()
            unchanged = unchanged + 1 if position == last else 0
        return position

    def stop(self) -> None:
        """Flushes, and stops following. No event comes after this."""
        if self._thread.is_alive():
            self.flush()
        self._stopping.set()
        if self._log is not None:
            self._log.close()
        if self._thread.ident is not None:
            self._thread.join(STOP_TIMEOUT)

    def _follow(self) -> None:
        try:
            self._report_first(self._first_state)
            while not self._stopping.is_set():
                self._follow_run()
        except LabError as error:
            self.ended = str(error)
            self._observe(Note(time.time(), self._node, f"its container is no longer followed: {error}"))
        finally:
            with self._changed:
                self._changed.notify_all()

    def _report_first(self, state: WorkloadState) -> None:
        """Reports the state at the beginning of the run."""
        now = time.time()
        if state.running:
            self._report_start(now)
        else:
            earlier = now - self._clock.correct(state.finished) if state.finished else 0.0
            self._report_end(state, now, earlier=earlier)

    def _follow_run(self) -> None:
        """Follows the container until it ends; if it isn't running, checks whether it was started again."""
        state = self._workload.state()
        if state.started == self._ended_run:
            self._stopping.wait(INTERVAL)
            return
        if self._ended_run != NO_RUN:
            self._report_start(self._clock.correct(state.started))
        self._ended_run = NO_RUN
        self._read_output()
        after = self._state_after(state.started)
        if after is not None and not self._stopping.is_set():
            self._report_end(after, self._clock.correct(after.finished), started=state.started)

    def _read_output(self) -> None:
        """Passes on the output until the container ends."""
        self._log = self._workload.log(self._passed[0], follow=True)
        if self._stopping.is_set():
            self._log.close()
        for entry in self._log:
            self._pass_on(entry)
        for splitter in self._splitters.values():
            splitter.end()

    def _pass_on(self, entry: LogEntry) -> None:
        before, self._size = self._size, self._size + len(entry.data)
        self._at = self._clock.correct(entry.at)
        if self._size <= MAX_OUTPUT:
            self._splitters[entry.stream].feed(entry.data)
        elif before <= MAX_OUTPUT:
            text = f"the output of its container is left out after {MAX_OUTPUT >> 20} MiB"
            self._observe(Note(self._at, self._node, text))
        with self._changed:
            last, pieces = self._passed
            self._passed = max(self._passed, (entry.position, (pieces if entry.position == last else 0) + 1))
            self._changed.notify_all()

    def _state_after(self, started: float) -> WorkloadState | None:
        """The state after the end of the run that began at ``started``; None if it is still running."""
        left = deadline(END_TIMEOUT)
        while (state := self._workload.state()).running and state.started == started:
            if not left() or self._stopping.wait(0.01):
                return None
        return state

    def _on_line(self, stream: str) -> Callable[[str], None]:
        def on_line(line: str) -> None:
            self._observe(Output(self._at, self._node, self._number, STREAMS[stream], line))

        return on_line

    def _report_start(self, at: float) -> None:
        workload = self._workload
        command = shlex.join(workload.argv)
        self._observe(WorkloadStarted(at, self._node, self._number, workload.name, workload.image, command))

    def _report_end(
        self, state: WorkloadState, at: float, *, earlier: float = 0.0, started: float | None = None
    ) -> None:
        """Reports the end of the run that began at ``started``. If it is already running again, its exit code
        is unknown.
        """
        known = started is None or state.started == started
        number = exit_signal(state.exit_code) if known else 0
        self._observe(
            WorkloadEnded(
                at,
                self._node,
                self._number,
                self._workload.name,
                exit_code=state.exit_code if known and not number else None,
                signal=signal.Signals(number).name.removeprefix("SIG") if number else None,
                out_of_memory=known and state.out_of_memory,
                error=state.error,
                earlier=earlier,
                last_lines="\n".join(self._workload.last_lines(LAST_LINES)),
            )
        )
        with self._changed:
            self._ended_run = state.started if started is None else started
            self._changed.notify_all()
