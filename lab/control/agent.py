"""The agent of a node, as the controller sees it: requests and their answers, and reports."""

from __future__ import annotations

import itertools
import json
import threading
from collections.abc import Callable
from typing import Any, TypeAlias

from lab.control.process import HelperProcess, Session
from lab.errors import EnvironmentFailure, HostTimeout, LabError, Unsupported
from lab.remote.ssh import Connection

COMMAND = "exec sudo -n /usr/lib/socketlab/agent"  # on a node of a lab
COMMAND_ALONE = "exec python3 -P -S -m lab.agent"  # on a real machine: without its root half
MAX_LINE = 1 << 26  # bytes; the arrivals of a long measurement have a few million

ERRORS: dict[int, type[LabError]] = {3: EnvironmentFailure, 4: HostTimeout}  # by the code in an answer

JsonObject: TypeAlias = dict[str, Any]
OnReport: TypeAlias = Callable[[JsonObject], None]


class NodeAgent:
    """The agent of one node. It is started at the first request, and again at the next one after it ended.

    It ends with the connection, or when ``close`` is called. Any thread may use it.
    """

    def __init__(self, connect: Callable[[], Connection], title: str, command: str = COMMAND) -> None:
        """``connect`` returns the connection to the node, which is a new one after a power cut."""
        self._connect, self._title, self._command = connect, title, command
        self._process: AgentProcess | None = None
        self._starting = threading.Lock()
        self._on_report: list[OnReport] = []

    def request(self, op: str, *, timeout: float, **arguments: Any) -> JsonObject:
        """Sends a request and waits for its answer; requests of other threads may be in progress.

        Raises HostTimeout; Unsupported if the node can't do it at all; and EnvironmentFailure if the agent
        refuses it, or fails, or ends.
        """
        answer = self._running().request({"op": op, **arguments}, timeout)
        if "ok" not in answer:
            raise self._error(answer)
        result: JsonObject = answer["ok"]
        return result

    def reports(self, on_report: OnReport) -> None:
        """Calls ``on_report`` with each report from now on, in the thread that receives them.

        When the agent ends it is called with {"ended": the reason}. If it raises, the agent is killed. It
        must not make requests.
        """
        self._on_report.append(on_report)

    def ignore_reports(self, on_report: OnReport) -> None:
        """Ends ``reports``."""
        self._on_report.remove(on_report)

    def close(self) -> None:
        """Ends the agent, if it runs, and waits for it to exit."""
        if (process := self._taken()) is not None:
            process.close_stdin()
            process.finish()

    def abandon(self) -> None:
        """Closes the agent's session without waiting for the agent to exit: it may be stopped,
        or its host may be off.

        Requests in progress fail. The next one starts a new agent.
        """
        if (process := self._taken()) is not None:
            process.close()

    def _taken(self) -> AgentProcess | None:
        with self._starting:
            process, self._process = self._process, None
        return process

    def _running(self) -> AgentProcess:
        with self._starting:
            if self._process is not None and self._process.ended:
                self._process.close()
                self._process = None
            if self._process is None:
                self._process = AgentProcess(
                    self._connect().execute(self._command), self._title, self._report
                )
                self._process.follow_in_background()
            return self._process

    def _report(self, report: JsonObject) -> None:
        for on_report in list(self._on_report):
            on_report(report)

    def _error(self, answer: JsonObject) -> LabError:
        kind = Unsupported if answer.get("unsupported") else ERRORS.get(answer["code"], EnvironmentFailure)
        return kind(f"{self._title}: {answer['error']}")


class AgentProcess(HelperProcess):
    """One run of the agent on the node."""

    def __init__(self, session: Session, title: str, on_report: OnReport) -> None:
        super().__init__(session, title, self._take)
        self._on_report = on_report
        self._numbers = itertools.count(1)
        self._answers: dict[int, JsonObject | None] = {}  # by request; None until the answer arrives
        self._sending = threading.Lock()
        self._pieces: list[bytes] = []  # of a line whose end is missing
        self._size = 0  # of the pieces

    def request(self, request: JsonObject, timeout: float) -> JsonObject:
        """The answer to a request. Raises HostTimeout, EnvironmentFailure."""
        number = next(self._numbers)
        self._answers[number] = None
        try:
            with self._sending:
                self.send(json.dumps({"id": number, **request}) + "\n")
            self.wait_until(
                lambda: self._answers[number] is not None, f"its agent ({request['op']})", timeout
            )
            return self._answers[number] or {}
        finally:
            del self._answers[number]

    def exited(self) -> None:
        self._on_report({"ended": self.last_words})

    def _take(self, data: bytes) -> None:
        """Handles a piece of output. Raises EnvironmentFailure for a line that is too long or no message."""
        self._pieces.append(data)
        self._size += len(data)
        if self._size > MAX_LINE:
            raise EnvironmentFailure(f"its agent sent a line of more than {MAX_LINE} bytes")
        if b"\n" not in data:
            return
        *lines, rest = b"".join(self._pieces).split(b"\n")
        self._pieces, self._size = [rest], len(rest)
        for line in lines:
            message = _message(line)
            if "report" in message:
                self._on_report(message["report"])
            elif isinstance(number := message.get("id"), int) and number in self._answers:
                self._answers[number] = message


def _message(line: bytes) -> JsonObject:
    """The message on a line: a report, or an answer with "ok", or with "error" and "code"."""
    try:
        message: JsonObject = json.loads(line)
    except (ValueError, RecursionError):
        raise EnvironmentFailure("its agent sent a line that isn't JSON") from None
    if not isinstance(message, dict) or not (
        isinstance(message.get("report"), dict)
        or isinstance(message.get("ok"), dict)
        or (isinstance(message.get("error"), str) and isinstance(message.get("code"), int))
    ):
        raise EnvironmentFailure("its agent sent a line that is no message")
    return message
