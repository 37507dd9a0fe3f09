"""The half of the agent that runs as lab: one thread serves all requests, and polls sockets in between."""

from __future__ import annotations

import os
import select
import time
from typing import Any, Protocol

from lab.agent import ops
from lab.agent.lines import ENVIRONMENT, USAGE, JsonObject, Lines, Refused, parse
from lab.agent.peer import Peer, Task

MAX_UNSENT = (
    1 << 20
)  # bytes: if more are unsent, nothing is read or polled until the controller has read some


class Poller(Protocol):
    """Polls something whenever it is ``due``, a time on the monotonic clock."""

    due: float

    def poll(self, *, final: bool = False) -> None: ...
    def close(self) -> None: ...


class Agent:
    """Serves one controller until the controller closes its end or the root half ends."""

    def __init__(self, controller: Lines, root: Peer | None) -> None:
        """``root`` is None on a real machine."""
        self.root = root
        self.poller: Poller | None = None  # while sockets are watched
        self.peers: list[Peer] = [root] if root else []
        self._controller = controller

    def report(self, report: JsonObject) -> None:
        """Sends a message that answers no request."""
        self._controller.add({"report": report})

    def child(self, name: str) -> Peer:
        """The child of that name. Raises Refused if there is none."""
        for peer in self.peers:
            if peer.name == name:
                return peer
        raise Refused(f"{name} isn't running", USAGE)

    def end(self, peer: Peer) -> None:
        """Ends a child; the requests that wait for it are refused."""
        peer.lines.ended = True
        self.peers.remove(peer)
        peer.close()
        while peer.waiting:
            self._advance(peer.waiting.popleft(), Refused(f"{peer.name} has ended"))

    def run(self) -> None:
        """Raises Refused after a line that is too long, and OSError if the controller is gone."""
        while not (self._controller.ended or (self.root and self.root.lines.ended)):
            self._turn()
        self._controller.flush_all()

    def close(self) -> None:
        """Ends all children."""
        for peer in self.peers:
            peer.close()

    def _turn(self) -> None:
        self._controller.flush()
        for peer in list(self.peers):
            self._flush(peer)
        streams = [self._controller, *(peer.lines for peer in self.peers)]
        is_behind = self._controller.unsent > MAX_UNSENT
        readers = [] if is_behind else streams
        writers = [stream.writer for stream in streams if stream.unsent]
        timeout = None if is_behind or not self.poller else max(0.0, self.poller.due - time.monotonic())
        ready = select.select(readers, writers, [], timeout)[0]
        if self._controller in ready:
            for line in self._controller.receive():
                self._handle(line)
        for peer in [peer for peer in self.peers if peer.lines in ready]:
            self._hear(peer)
        if self.poller and not is_behind and time.monotonic() >= self.poller.due:
            self.poller.poll()

    def _flush(self, peer: Peer) -> None:
        try:
            peer.lines.flush()
        except OSError:
            self.end(peer)

    def _handle(self, line: bytes) -> None:
        number: object = None
        try:
            request = parse(line)
            number = request.get("id")
            if type(number) is not int:
                raise Refused("a request has no id", USAGE)
            answer = ops.lab_op(request.get("op"))(self, request)
        except Exception as error:
            self._answer(number, refusal(error))
        else:
            if isinstance(answer, dict):
                self._answer(number, {"ok": answer})
            else:
                self._advance(Task(number, answer), None)

    def _advance(self, task: Task, answer: Any) -> None:
        """Continues a task with the answer that it waits for, up to its next question."""
        while True:
            try:
                peer, question = (
                    task.steps.throw(answer) if isinstance(answer, Refused) else task.steps.send(answer)
                )
            except StopIteration as done:
                return self._answer(task.number, {"ok": done.value})
            except Exception as error:
                return self._answer(task.number, refusal(error))
            try:
                if peer is None:
                    raise Refused("this node has no root part of the agent", unsupported=True)
                return peer.ask(question, task)
            except Refused as error:
                answer = error

    def _hear(self, peer: Peer) -> None:
        """Continues the tasks whose answers have arrived."""
        try:
            answers = [parse(line) for line in peer.lines.receive()]
        except (Refused, OSError):
            return self.end(peer)
        for answer in answers:
            self._advance(
                peer.waiting.popleft(), answer["ok"] if "ok" in answer else Refused.from_json(answer)
            )
        if peer.lines.ended:
            self.end(peer)

    def _answer(self, number: object, answer: JsonObject) -> None:
        self._controller.add({"id": number, **answer})


def refusal(error: Exception) -> JsonObject:
    """The answer to a request that failed."""
    if not isinstance(error, Refused):
        detail = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        error = Refused(f"{type(error).__name__}: {detail}")
    return error.as_json()


def serve(reader: int, writer: int, root: Peer | None = None) -> int:
    """Serves the controller on these descriptors. Returns the exit code."""
    controller = Lines(reader, writer)
    agent = Agent(controller, root)
    try:
        agent.run()
    except Refused as error:
        os.write(2, f"agent: {error}\n".encode())
        return error.code
    except BrokenPipeError:
        pass  # the controller is gone
    except OSError as error:
        os.write(2, f"agent: {error.strerror}\n".encode())
        return ENVIRONMENT
    finally:
        agent.close()
    return 0
