"""Impairs the link, on the router, as root: one JSON request on stdin, one JSON answer on stdout."""

from __future__ import annotations

import fcntl
import json
import secrets
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, TypeAlias

from lab.agent import kernel_settings, packet_queue_process
from lab.agent.packet_queue import COUNTED
from lab.link import traffic_control as tc
from lab.link.settings import LinkSettings
from lab.link.traffic_control import Interfaces
from lab.programs.console import ENVIRONMENT, USAGE, Failure, Parser, main
from lab.sockets.netlink.nfqueue import overflowed

JsonObject: TypeAlias = dict[str, Any]

STATE = Path("/run/socketlab")  # writable for root only
MAX_REQUEST = 1 << 20  # characters

HELP = """\
Reads one request, answers it and exits. The settings stay in force.
  {"op": "show"}
  {"op": "clear", "interfaces": {SEGMENT: ADDRESS, ...}}
  {"op": "apply", "interfaces": ..., "link": ..., "seed": "7", "backend": null, "counted": null}
"interfaces" maps each segment to the router's address on it. lab/link/settings.py defines "link".
"backend" is netem, nfqueue or statistic; null keeps the current one, or selects the best one that works.
A null "seed" keeps the current seed. "counted" lists the initial counters of each drop, [matched, dropped];
null keeps the counters of the drops that stay.
The answer has the capabilities of the kernel ("can"), the settings before ("before") and after ("now").

Example:  echo '{"op": "show"}' | sudo /usr/lib/socketlab/impair
Exit codes: 0 done · 2 invalid request · 3 not possible on this kernel: see "unsupported" in the answer
"""


def program() -> int:
    Parser(prog="impair", description=__doc__, epilog=HELP).parse_args()
    request = _read_request()
    STATE.mkdir(mode=0o755, exist_ok=True)
    with _locked():
        answer = _handle(request)
    print(json.dumps(answer))
    return ENVIRONMENT if "unsupported" in answer else 0


def _read_request() -> JsonObject:
    text = sys.stdin.readline(MAX_REQUEST)
    try:
        request = json.loads(text)
    except (ValueError, RecursionError):
        raise Failure("the request is not JSON", USAGE) from None
    if not isinstance(request, dict) or request.get("op") not in ("show", "apply", "clear"):
        raise Failure("the request has no op: expected show, apply or clear", USAGE)
    return request


def _handle(request: JsonObject) -> JsonObject:
    can = _capabilities()
    before = _in_force()
    answer: JsonObject = {"can": can, "before": before, "now": before}
    if request["op"] == "show":
        return answer
    link = LinkSettings.from_json(request.get("link", {})) if request["op"] == "apply" else LinkSettings()
    interfaces = kernel_settings.interfaces_with(request.get("interfaces"))
    link.check_directions(interfaces.directions)
    previous = before or {}
    seed = _seed(request.get("seed"), previous)
    counted = _counted(request.get("counted"), link, previous)
    backend = kernel_settings.choose_backend(request.get("backend") or previous.get("backend"), can)
    if missing := kernel_settings.unsupported(backend, link, can):
        return answer | {"unsupported": missing, "backend": backend}
    if link.is_nothing:
        _remove_all(interfaces, before)
        return answer | {"now": None}
    try:
        return answer | {"now": _apply(link, interfaces, backend, seed, counted, can, before)}
    except BaseException:
        _remove_all(interfaces, before)
        raise


def _apply(
    link: LinkSettings,
    interfaces: Interfaces,
    backend: str,
    seed: str,
    counted: list[list[int]],
    can: JsonObject,
    before: JsonObject | None,
) -> JsonObject:
    """Replaces all settings by ``link``. Packets that are already queued keep the decision made on them."""
    queues = _free_queues(link, interfaces, before) if backend == "nfqueue" else {}
    name = secrets.token_hex(8)
    state: JsonObject = {"id": name, "link": link.as_json(), "seed": seed, "backend": backend}
    state |= {"queues": queues, "boot": _boot(), "since": time.time(), "counters": f"counters-{name}"}
    counters = packet_queue_process.map_counters(STATE / state["counters"], tuple(queues))
    for number, pair in enumerate(counted):
        counters.drop(number)[0], counters.drop(number)[1] = pair
    worker = packet_queue_process.start(link, seed, queues, counters) if queues else None
    try:
        rules = tc.filter_rules(
            link,
            interfaces,
            queues=queues if backend == "nfqueue" else None,
            statistic=backend == "statistic",
            notrack=can["notrack"],
        )
        kernel_settings.set_rules(rules)
        kernel_settings.set_qdiscs(link, interfaces, backend, seed)
    except BaseException:
        packet_queue_process.send_signal(worker, signal.SIGKILL)
        raise
    _dismiss(before, signal.SIGTERM)
    state["worker"] = worker
    _write_state(state)
    return _with_counters(state)


def _remove_all(interfaces: Interfaces, before: JsonObject | None) -> None:
    """Removes all settings. The rules are removed first, so that no more packets are queued."""
    kernel_settings.set_rules({})
    kernel_settings.set_qdiscs(LinkSettings(), interfaces, "", "")
    _dismiss(before, signal.SIGUSR1)
    (STATE / "link.json").unlink(missing_ok=True)


def _free_queues(link: LinkSettings, interfaces: Interfaces, before: JsonObject | None) -> dict[str, int]:
    """Queue numbers that the current process doesn't use: it still runs when the new one starts."""
    used = max(before["queues"].values(), default=0) if before else 0
    first = 1 if used > 60_000 else used + 1
    return {name: first + n for n, name in enumerate(tc.queued_directions(link, interfaces.directions))}


def _in_force() -> JsonObject | None:
    """The current settings; None if none were applied since the router started."""
    try:
        state = json.loads((STATE / "link.json").read_text())
    except (FileNotFoundError, ValueError):
        return None
    return _with_counters(state) if state["boot"] == _boot() else None


def _with_counters(state: JsonObject) -> JsonObject:
    """``state`` with its counters and whether its process is alive."""
    worker = state.get("worker")
    counters = packet_queue_process.map_counters(STATE / state["counters"], tuple(state["queues"]))
    counts = {
        name: dict(zip(COUNTED, counters.row(name), strict=True)) | {"overflowed": overflowed(number)}
        for name, number in state["queues"].items()
    }
    drops = [list(counters.drop(n)) for n in range(len(state["link"]["drops"]))]
    if state["backend"] != "nfqueue":
        drops = []  # iptables counts, separately for IPv4 and IPv6
    alive = worker is None or packet_queue_process.is_alive(worker)
    return state | {"alive": alive, "counts": counts, "drops": drops}


def _write_state(state: JsonObject) -> None:
    temporary = STATE / "link.json.part"
    temporary.write_text(json.dumps(state))
    temporary.rename(STATE / "link.json")
    for old in STATE.glob("counters-*"):
        if old.name != state["counters"]:
            old.unlink()


def _dismiss(state: JsonObject | None, number: signal.Signals) -> None:
    if state:
        packet_queue_process.send_signal(state.get("worker"), number)


def _boot() -> str:
    """Identifies this start of the router."""
    return packet_queue_process.start_time(1)


def _seed(asked: object, previous: JsonObject) -> str:
    seed = previous.get("seed", "0") if asked is None else asked
    if not isinstance(seed, str) or len(seed) > 200:
        raise Failure("the seed is not a string, or has more than 200 characters", USAGE)
    return seed


def _counted(asked: object, link: LinkSettings, previous: JsonObject) -> list[list[int]]:
    """The initial counters of each drop."""
    if asked is None:
        drops = LinkSettings.from_json(previous.get("link", {})).drops
        known = dict(zip(drops, previous.get("drops", ()), strict=False))
        return [known.get(drop, [0, 0]) for drop in link.drops]
    if not isinstance(asked, list) or len(asked) != len(link.drops) or not all(map(_is_pair, asked)):
        raise Failure("counted must have [matched, dropped] for each drop", USAGE)
    return asked


def _is_pair(value: object) -> bool:
    return (
        isinstance(value, list) and len(value) == 2 and all(type(n) is int and 0 <= n < 2**63 for n in value)
    )


def _capabilities() -> JsonObject:
    """The capabilities of the kernel, determined once after each start of the router."""
    file = STATE / "can.json"
    with suppress(FileNotFoundError, ValueError):
        known: JsonObject = json.loads(file.read_text())
        if known["boot"] == _boot():
            return known
    can = {"boot": _boot(), **kernel_settings.capabilities()}
    temporary = file.with_suffix(".part")
    temporary.write_text(json.dumps(can))
    temporary.rename(file)
    return can


@contextmanager
def _locked() -> Iterator[None]:
    """Holds a lock, so that one request is processed at a time."""
    with open(STATE / "lock", "w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


if __name__ == "__main__":
    main("impair", program)
