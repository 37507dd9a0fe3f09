"""The labs of one test session: each is brought up when first needed and taken down after its last test."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager

from lab.control.lab import Lab
from lab.control.transport import from_engine
from lab.engine.compose import Notice
from lab.engine.lifecycle.project import LabProject
from lab.errors import LabError
from lab.testing.lab_kind import LabKind

PREFIX = "socketlab-test"  # of the names of labs that a session starts


class LabSession:
    """One lab of a test session.

    ``running`` is the name of a lab that is up and stays up. Without it, the session starts a lab of this
    kind with free prefixes. ``keep`` is the end of the name of a lab that is to stay up after the session;
    "" takes it down. ``before_start`` is called before a lab is started, and ``report`` with each notice.
    """

    def __init__(
        self,
        kind: LabKind,
        running: str = "",
        keep: str = "",
        *,
        before_start: Callable[[], None] = lambda: None,
        report: Callable[[str], None] = lambda _: None,
    ) -> None:
        self._kind = kind
        self._running = running
        self._keep = keep
        self._before_start = before_start
        self._report = report
        self._exit_stack = ExitStack()
        self._started: LabProject | None = None
        self._lab: Lab | None = None
        self._claim: ExitStack | None = None
        self._failure: LabError | None = None  # the reason why the lab isn't up; its start isn't repeated
        self._refusal: LabError | None = None  # the reason why the lab can't be reserved; the same

    @property
    def name(self) -> str:
        """The name of the lab."""
        # The process id distinguishes the sessions, and the pytest-xdist workers, of one machine.
        return self._running or "-".join(
            filter(None, [PREFIX, self._keep or str(os.getpid()), self._kind.name])
        )

    @property
    def is_kept(self) -> bool:
        """Whether the session has started the lab and leaves it up."""
        return bool(self._keep and self._started and not self._running)

    @property
    def project(self) -> LabProject:
        """The lab's name and prefixes; it is up. Raises LabError."""
        if self._failure is not None:
            raise self._failure
        if self._started is None:
            try:
                self._started = self._described().attached() if self._running else self._start()
            except LabError as error:
                self._failure = error
                raise
        return self._started

    @property
    def lab(self) -> Lab:
        """The lab, with an SSH connection to each host. Raises LabError."""
        if self._lab is None:
            self._lab = self._exit_stack.enter_context(from_engine(self.project.project))
            self._exit_stack.callback(self.release)
            self._lab.connect()
        return self._lab

    @property
    def claimed_lab(self) -> Lab:
        """The lab, reserved for this session until ``release``. Raises LabError, each time the same."""
        if self._refusal is not None:
            raise self._refusal
        if self._claim is None:
            try:
                self._reserve()
            except LabError as error:
                self._refusal = error
                raise
        return self.lab

    def _reserve(self) -> None:
        with ExitStack() as stack:
            stack.enter_context(self.lab.claimed())
            self._claim = stack.pop_all()

    def release(self) -> None:
        """Lets others reserve the lab."""
        if self._claim is not None:
            self._claim.close()
            self._claim = None

    def close(self) -> None:
        """Closes the connections, and takes down the lab if the session started it. Ignores Ctrl-C."""
        with _uninterrupted():
            self._exit_stack.close()
        self._started = self._lab = None

    def _described(self) -> LabProject:
        return LabProject.of_file(self._kind.description, self.name, profile=self._kind.profile, environ={})

    def _start(self) -> LabProject:
        self._before_start()
        project = self._described()
        if not self._keep:
            self._exit_stack.callback(self._take_down, project)
        return project.up(owner=not self._keep, report=self._pass_on)

    def _take_down(self, project: LabProject) -> None:
        if self._failure is None:  # else the start has been undone
            project.down()

    def _pass_on(self, line: str) -> None:
        if isinstance(line, Notice):
            self._report(line)


class LabSessions:
    """The session's labs by kind."""

    def __init__(self, session_of: Callable[[LabKind], LabSession], plain: LabKind) -> None:
        """``plain`` is the kind of the tests that don't choose one."""
        self.plain = plain
        self._session_of = session_of
        self._by_kind: dict[LabKind, LabSession] = {}

    def __getitem__(self, kind: LabKind) -> LabSession:
        if kind not in self._by_kind:
            self._by_kind[kind] = self._session_of(kind)
        return self._by_kind[kind]

    @property
    def kept(self) -> list[str]:
        """The names of the labs that the session leaves up."""
        return [session.name for session in self._by_kind.values() if session.is_kept]

    def close(self, kind: LabKind | None = None) -> None:
        """Takes down the labs that the session started, or only that of one kind. Raises LabError."""
        with ExitStack() as stack:
            for known, session in self._by_kind.items():
                if kind in (None, known):
                    stack.callback(session.close)

    def release(self) -> None:
        """Lets others reserve the labs."""
        for session in self._by_kind.values():
            session.release()


@contextmanager
def _uninterrupted() -> Iterator[None]:
    """Ctrl-C has no effect in this process and in those that it starts, while the context lasts."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
