"""The root half of the agent: carries out the requests of the half that runs as lab, one after another.

Any program on the node can start the agent and write to it, so each op checks its request.
"""

from __future__ import annotations

import os
import select
import signal
from contextlib import suppress

from lab.agent import ops
from lab.agent.agent import refusal
from lab.agent.lines import JsonObject, Lines, Refused, parse

GRACE = 2.0  # seconds for the child to exit
STDIN = 0


class RootHalf:
    """Serves the process ``child`` over ``lines`` until it ends."""

    def __init__(self, child: int, lines: Lines) -> None:
        self._child, self._lines = child, lines

    def run(self) -> int:
        """Returns the exit code of the child."""
        # A signal that arrives just before poll is called has to wake it up: only then its handler is run.
        signalled, wakeup = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        signal.set_wakeup_fd(wakeup, warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, lambda number, frame: self._continue_child())
        signal.signal(signal.SIGALRM, lambda number, frame: self._kill_child())
        self._continue_child()  # it may have been stopped before
        events = select.poll()
        events.register(signalled, select.POLLIN)
        events.register(self._lines, select.POLLIN)
        events.register(STDIN, select.POLLRDHUP)
        while not self._lines.ended:
            for descriptor, _ in events.poll():
                if descriptor == STDIN:  # the controller is gone, and the child exits if it can
                    events.unregister(STDIN)
                    signal.setitimer(signal.ITIMER_REAL, GRACE)
                elif descriptor == signalled:
                    os.read(signalled, 1 << 10)
                else:
                    self._serve()
        self._lines.close()
        signal.setitimer(signal.ITIMER_REAL, GRACE)
        status = os.waitpid(self._child, 0)[1]
        signal.setitimer(signal.ITIMER_REAL, 0)  # another process may get its id
        return os.waitstatus_to_exitcode(status)

    def _continue_child(self) -> None:
        """Continues the child, which any program of lab can stop. SIGCONT is allowed within a session."""
        with suppress(OSError):
            if os.waitid(os.P_PID, self._child, os.WSTOPPED | os.WNOHANG):
                os.kill(self._child, signal.SIGCONT)

    def _kill_child(self) -> None:
        """Kills the child with the rights of its own user: on a node, root has no CAP_KILL."""
        from lab.agent.reset.processes import process  # rarely needed

        user = os.geteuid()
        with suppress(OSError):
            os.seteuid(process(self._child).uid)
            try:
                os.kill(self._child, signal.SIGKILL)
            finally:
                os.seteuid(user)

    def _serve(self) -> None:
        try:
            for line in self._lines.receive():
                self._lines.add(answer(line))
                self._lines.flush_all()
        except (Refused, OSError):  # the child isn't ours any more, or is gone
            self._lines.ended = True
        reap_all_but(self._child)


def compile_in_background() -> None:
    """Compiles the lab's code in a child of this process."""
    parent = os.getpid()
    if os.fork() == 0:
        try:
            os.closerange(0, 1024)  # so that the other half and the controller see the end of this process
            from lab.agent import bytecode  # here, because its imports take memory

            bytecode.compile_all(parent)
        finally:
            os._exit(0)


def answer(line: bytes) -> JsonObject:
    """The answer to a request."""
    try:
        request = parse(line)
        return {"ok": ops.root_op(request.get("op"))(request)}
    except Exception as error:
        return refusal(error)


def reap_all_but(child: int) -> None:
    """Reaps processes that were started for a request and have ended since."""
    with suppress(OSError):
        while (
            ended := os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
        ) and ended.si_pid != child:
            os.waitpid(ended.si_pid, 0)
