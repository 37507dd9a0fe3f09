"""Waits until the users' programs are ready: each has a condition, and a deadline."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing

from lab.engine.client import sdk_call
from lab.engine.http.container import Container
from lab.engine.workloads.model import WorkloadState, exit_signal
from lab.engine.workloads.workload import EngineWorkload
from lab.errors import EnvironmentFailure
from lab.locale import Message, message
from lab.topology.model import Ready

READY_TIMEOUT = 60.0  # seconds for a program to become ready, from its start
LAST_LINES = 10  # of its output, in an error
SLICE = 0.3  # seconds for one check on the node; then the state of the container is checked
INTERVAL = 0.05
LIVE = ("created", "running", "paused", "restarting")
AGENT = ["python3", "-P", "-S", "-m", "lab.agent.ready", "--timeout", str(SLICE)]

Check = Callable[[WorkloadState], str | Message]  # why the program isn't ready; "" if it is
Report = Callable[[Message], object]


def wait_until_ready(
    workloads: Iterable[tuple[EngineWorkload, Ready | None]],
    *,
    timeout: float = READY_TIMEOUT,
    report: Report = lambda text: None,
) -> None:
    """Returns when all of them run and meet their conditions. ``report`` gets a line for each that does.

    Raises EnvironmentFailure with the last lines of a container that ends, or isn't ready in time.
    """
    until = time.monotonic() + timeout
    waiting = list(workloads)
    with ThreadPoolExecutor(max_workers=max(1, min(16, len(waiting)))) as pool:
        jobs = [pool.submit(_wait, workload, ready, until, timeout, report) for workload, ready in waiting]
        for job in jobs:
            job.result()


def _wait(
    workload: EngineWorkload, ready: Ready | None, until: float, timeout: float, report: Report
) -> None:
    check = _check(workload, ready)
    while True:
        state = workload.state()
        if state.status not in LIVE:
            if ready is None and state.status == "exited" and state.exit_code == 0:
                return  # a program that does its work and exits
            raise _failure(workload, _ended(workload, state))
        if not (reason := check(state)):
            break
        if ready and ready.kind == "healthcheck" and state.status == "running" and not state.health:
            raise _failure(
                workload,
                message(
                    "{host}: its image has no health check; add one, or choose another condition in `ready`",
                    host=workload.host,
                ),
            )
        if time.monotonic() > until:
            raise _failure(
                workload,
                message(
                    "{host}: its container isn't ready after {timeout:g} s: {reason}",
                    host=workload.host,
                    timeout=timeout,
                    reason=reason,
                ),
            )
        time.sleep(INTERVAL)
    if ready is not None:
        report(message("{host} is ready: {condition}", host=workload.host, condition=condition(ready)))


def _check(workload: EngineWorkload, ready: Ready | None) -> Check:
    if ready is None:
        return lambda state: ""
    if ready.kind == "healthcheck":
        return _health
    if ready.kind == "log":
        return _LogCheck(workload, ready.text)
    return lambda state: _on_node(workload.node, ready)


def _health(state: WorkloadState) -> str | Message:
    if state.health == "healthy":
        return ""
    if not state.health:
        return message("its image has no health check")
    return message("the state of its health check is {state}", state=state.health)


class _LogCheck:
    """Searches the output since the container's last start for a text."""

    def __init__(self, workload: EngineWorkload, text: str) -> None:
        self._workload, self._text = workload, text.encode()
        self._position = 0

    def __call__(self, state: WorkloadState) -> str | Message:
        self._position = max(self._position, int(state.started * 1e9))
        with closing(self._workload.log(self._position)) as log:
            for entry in log:
                self._position = entry.position
                if self._text in entry.data:
                    return ""
        return message("no line of its output contains {text!r}", text=self._text.decode())


def _on_node(node: Container, ready: Ready) -> str:
    """Checks a port from the lab's own container, which has the same network namespace."""
    words = [ready.kind, str(ready.port), *([_path(ready)] if ready.kind == "http" else [])]
    result = sdk_call(node.exec_run, [*AGENT, *words])
    output = result.output.decode(errors="backslashreplace").strip()
    return "" if result.exit_code == 0 else output.rpartition("\n")[2] or f"exit code {result.exit_code}"


def _path(ready: Ready) -> str:
    return f"/{ready.text.removeprefix('/')}"


def condition(ready: Ready) -> str:
    """The condition as in a description: "tcp 80", "http 80/health"."""
    if ready.kind == "http":
        return f"http {ready.port}{_path(ready)}"
    return f"{ready.kind} {ready.port or ready.text}".strip()


def _ended(workload: EngineWorkload, state: WorkloadState) -> Message:
    if state.error:
        return message("{host}: its container doesn't start: {error}", host=workload.host, error=state.error)
    if state.out_of_memory:
        return message("{host}: its container ended: out of memory", host=workload.host)
    if number := exit_signal(state.exit_code):
        return message(
            "{host}: its container was killed by signal {number}", host=workload.host, number=number
        )
    return message(
        "{host}: its container ended with exit code {code}", host=workload.host, code=state.exit_code
    )


def _failure(workload: EngineWorkload, problem: Message) -> EnvironmentFailure:
    lines = "".join(f"\n  {line}" for line in workload.last_lines(LAST_LINES))
    return EnvironmentFailure(message("{problem}{lines}", problem=problem, lines=lines))
