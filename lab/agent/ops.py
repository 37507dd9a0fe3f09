"""The function that serves each op. Its module is imported when the first request for it arrives.

In the half that runs as lab, the function is called with the agent and the request, and returns the answer.
It may be a generator: ``answer = yield agent.root, {"op": …}`` asks the root half, and the agent serves other
requests until the answer is there. In the root half, the function is called with the request alone.

Both raise Refused. Any program on the node can start the agent, so the functions of the root half check
everything in a request.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from typing import Any

from lab.agent.lines import USAGE, Refused

LAB_OPS = {
    "clock": "lab.agent.clock:clock",
    "listening": "lab.agent.sockets.listening:listening",
    "watch": "lab.agent.sockets.poller:watch",
    "poll": "lab.agent.sockets.poller:poll",
    "unwatch": "lab.agent.sockets.poller:unwatch",
    "impair": "lab.agent.link.impair:impair",
    "probe": "lab.agent.link.probe_process:probe",
    "reset": "lab.agent.reset.lab_half:reset",
}
ROOT_OPS = {
    "impair": "lab.agent.link.impair:impair_as_root",
    "reset_processes": "lab.agent.reset.root_half:kill",
    "reset": "lab.agent.reset.root_half:reset",
    "reset_keep_keys": "lab.agent.reset.keys:keep",
}


def lab_op(op: object) -> Callable[..., Any]:
    """The function that serves ``op`` as lab. Raises Refused."""
    return _function(LAB_OPS, op)


def root_op(op: object) -> Callable[..., Any]:
    """The function that serves ``op`` as root. Raises Refused."""
    return _function(ROOT_OPS, op)


def _function(ops: dict[str, str], op: object) -> Callable[..., Any]:
    if not isinstance(op, str) or op not in ops:
        raise Refused(f"unknown op {str(op)[:40]!r}: expected {', '.join(ops)}", USAGE)
    module, _, name = ops[op].partition(":")
    function: Callable[..., Any] = getattr(import_module(module), name)
    return function
