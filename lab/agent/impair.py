"""Impairs the link, on the router, as root: one request on stdin, one answer on stdout, both JSON."""

from __future__ import annotations

import fcntl
import ipaddress
import json
import mmap
import os
import secrets
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, TypeAlias

from lab.agent.packet_queue import COUNTED, Lines, Stats
from lab.link import traffic_control as tc
from lab.link.settings import LinkSettings
from lab.link.traffic_control import BACKENDS, FAMILIES, Interfaces
from lab.programs.console import ENVIRONMENT, USAGE, Failure, Parser, main
from lab.sockets.nfqueue import Queue, overflowed

JsonObject: TypeAlias = dict[str, Any]

STATE = Path("/run/socketlab")  # only root writes there
MAX_REQUEST = 1 << 20
READY_TIMEOUT = 5.0

HELP = """\
Reads one request, answers, exits; what it set up stays.
  {"op": "show"}
  {"op": "clear", "interfaces": {"clients": ADDRESS, "servers": ADDRESS}}
  {"op": "apply", "interfaces": …, "link": …, "seed": "7", "backend": null}
"clients" and "servers" are the router's own addresses on the two segments; "link" is what
lab/link/settings.py says; "backend" is netem, nfqueue, statistic, or null for the one in
force, else the best there is; a null "seed" keeps the one in force, too.
The answer tells what the kernel can do ("can"), what was found ("before") and what is now ("now").

Example:  echo '{"op": "show"}' | sudo /usr/lib/socketlab/impair
Exit codes: 0 done · 2 a wrong request · 3 the kernel can't; "unsupported" in the answer says what.
"""


def program() -> int:
    Parser(prog="impair", description=__doc__, epilog=HELP).parse_args()
    request = _read_request()
    STATE.mkdir(mode=0o755, exist_ok=True)
    with _alone():
        answer = _handle(request)
    print(json.dumps(answer))
    return ENVIRONMENT if "unsupported" in answer else 0


def _read_request() -> JsonObject:
    text = sys.stdin.readline(MAX_REQUEST)
    try:
        request = json.loads(text)
    except (ValueError, RecursionError):
        raise Failure("the request is no JSON", USAGE) from None
    if not isinstance(request, dict) or request.get("op") not in ("show", "apply", "clear"):
        raise Failure("the request has no op: show, apply or clear", USAGE)
    return request


def _handle(request: JsonObject) -> JsonObject:
    can = _capabilities()
    before = _found()
    answer: JsonObject = {"can": can, "before": before, "now": before}
    if request["op"] == "show":
        return answer
    link = LinkSettings.from_json(request.get("link", {})) if request["op"] == "apply" else LinkSettings()
    interfaces = _interfaces(request.get("interfaces"))
    in_force = before or {}
    backend = _choose(request.get("backend") or in_force.get("backend"), can)
    if gaps := _gaps(backend, link, can):
        return answer | {"unsupported": gaps, "backend": backend}
    try:
        now = _apply(link, interfaces, backend, _seed(request.get("seed"), in_force), can, before)
    except BaseException:
        _remove_all(interfaces, before)
        raise
    return answer | {"now": now}


def _apply(
    link: LinkSettings, interfaces: Interfaces, backend: str, seed: str, can: JsonObject, before: Any
) -> JsonObject | None:
    """Replaces what holds by ``link``, whole. Packets that are held already keep their fate."""
    if link.is_nothing:
        _remove_all(interfaces, before)
        return None
    queues = _free_queues(link, before) if backend == "nfqueue" else {}
    state: JsonObject = {"link": link.as_json(), "seed": seed, "backend": backend, "queues": queues}
    state |= {"boot": _boot(), "since": time.time(), "stats": f"stats-{secrets.token_hex(4)}"}
    worker = _start_lines(link, seed, queues, STATE / state["stats"])
    try:
        _filter(link, interfaces, backend, queues, can)
        _shape(link, interfaces, backend, seed)
    except BaseException:
        _signal(worker, signal.SIGKILL)
        raise
    _dismiss(before, signal.SIGTERM)
    state["worker"] = worker
    _write_state(state)
    return _told(state)


def _filter(
    link: LinkSettings, interfaces: Interfaces, backend: str, queues: Mapping[str, int], can: JsonObject
) -> None:
    rules = tc.filter_rules(
        link,
        interfaces,
        queues=queues if backend == "nfqueue" else None,
        statistic=backend == "statistic",
        notrack=can["notrack"],
    )
    _set_rules(rules)


def _set_rules(rules: Mapping[str, list[str]]) -> None:
    for command in FAMILIES.values():
        if changes := tc.replacement(_run([f"{command}-save"]), rules):
            _run([f"{command}-restore", "--noflush", "--wait"], changes)


def _shape(link: LinkSettings, interfaces: Interfaces, backend: str, seed: str) -> None:
    """Sets the qdiscs; an interface that needs none loses the one that we gave it."""
    if backend == "netem":
        commands = tc.netem_argv(link, interfaces, int.from_bytes(seed.encode()) % 2**63)
    else:
        commands = tc.tbf_argv(link, interfaces)
    shaped = {argv[argv.index("dev") + 1] for argv in commands}
    for name in {interfaces.clients, interfaces.servers}:
        kinds = _qdiscs(name)
        wanted = {argv[argv.index("root") + 1] for argv in commands if name in argv}
        if kinds & {"netem", "tbf"} - wanted or (kinds & {"netem", "tbf"} and name not in shaped):
            _run(["tc", "qdisc", "del", "dev", name, "root"])
    for argv in commands:
        _run(argv)


def _qdiscs(interface: str) -> set[str]:
    listed = json.loads(_run(["tc", "-j", "qdisc", "show", "dev", interface]) or "[]")
    return {entry["kind"] for entry in listed if entry.get("root")}


def _remove_all(interfaces: Interfaces, before: Any) -> None:
    """Leaves the link as if nothing had ever been set: rules first, so that nothing new is queued."""
    _set_rules({})
    _shape(LinkSettings(), interfaces, "", "")
    _dismiss(before, signal.SIGUSR1)
    (STATE / "link.json").unlink(missing_ok=True)


def _start_lines(link: LinkSettings, seed: str, queues: Mapping[str, int], stats: Path) -> JsonObject | None:
    """The process that holds the packets; it outlives this one. None where no direction is queued."""
    with open(stats, "w+b") as file:
        file.truncate(Stats.SIZE)
        memory = mmap.mmap(file.fileno(), Stats.SIZE)
    if not queues:
        return None
    ready, tell = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(ready)
        _become_lines(link, seed, queues, Stats(memory), tell)
    os.close(tell)
    with open(ready, "rb") as answer:
        said = answer.read()
    if said != b"ready":
        os.waitpid(child, 0)
        raise Failure(f"the queue can't be opened: {said.decode(errors='replace')}", ENVIRONMENT)
    return {"pid": child, "started": _start_time(child)}


def _become_lines(link: LinkSettings, seed: str, queues: Mapping[str, int], stats: Stats, tell: int) -> None:
    """In the child: never returns."""
    code = 1
    try:
        with suppress(OSError):  # without CAP_SYS_NICE packets may be late on a busy machine
            os.setpriority(os.PRIO_PROCESS, 0, -20)
        os.setsid()  # the session of the request ends, and its signals with it
        os.closerange(3, tell)  # the lock among them
        os.closerange(tell + 1, 1024)
        lines = Lines(link, seed, queues, stats)
        nothing = os.open(os.devnull, os.O_RDWR)
        for stream in range(3):
            os.dup2(nothing, stream)
        os.close(nothing)
        os.write(tell, b"ready")
        os.close(tell)
        lines.run()
        code = 0
    except BaseException as error:
        with suppress(OSError):
            os.write(tell, str(error).encode())
    finally:
        os._exit(code)


def _free_queues(link: LinkSettings, before: Any) -> dict[str, int]:
    """Queue numbers that the lines before don't use: for a moment both run."""
    used = max(before["queues"].values(), default=0) if before else 0
    first = 1 if used > 60_000 else used + 1
    return {direction: first + n for n, direction in enumerate(tc.queued_directions(link))}


def _found() -> JsonObject | None:
    """What was set before and still should hold; None where nothing was since the router's start."""
    try:
        state = json.loads((STATE / "link.json").read_text())
    except (FileNotFoundError, ValueError):
        return None
    return _told(state) if state["boot"] == _boot() else None


def _told(state: JsonObject) -> JsonObject:
    """``state`` with what can be said of it now: is it alive, and what has it done."""
    link = LinkSettings.from_json(state["link"])
    worker = state.get("worker")
    alive = worker is None or _start_time(worker["pid"]) == worker["started"]
    with open(STATE / state["stats"], "r+b") as file:
        stats = Stats(mmap.mmap(file.fileno(), Stats.SIZE))
    counts = {
        name: dict(zip(COUNTED, stats.row(name), strict=True)) | {"overflowed": overflowed(number)}
        for name, number in state["queues"].items()
    }
    drops = [list(stats.drop(n)) for n in range(len(link.drops))]
    if state["backend"] != "nfqueue":
        drops = []  # the rules count for themselves, each IP version apart
    return state | {"alive": alive, "counts": counts, "drops": drops}


def _write_state(state: JsonObject) -> None:
    temporary = STATE / "link.json.part"
    temporary.write_text(json.dumps(state))
    temporary.rename(STATE / "link.json")
    for old in STATE.glob("stats-*"):
        if old.name != state["stats"]:
            old.unlink()


def _dismiss(state: Any, number: signal.Signals) -> None:
    if state and state.get("worker") and state["alive"]:
        _signal(state["worker"], number)


def _signal(worker: JsonObject | None, number: signal.Signals) -> None:
    if worker and _start_time(worker["pid"]) == worker["started"]:
        os.kill(worker["pid"], number)


def _start_time(pid: int) -> str:
    """When a process began, which together with its id names it for good; "" where there is none."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return ""
    return "" if fields[0] == "Z" else fields[19]  # proc(5): state, starttime


def _boot() -> str:
    """Tells this start of the router from an earlier one."""
    return _start_time(1)


def _interfaces(addresses: object) -> Interfaces:
    """Finds the interfaces by their addresses: their names and order tell nothing."""
    if not isinstance(addresses, dict) or not all(
        isinstance(addresses.get(name), str) for name in ("clients", "servers")
    ):
        raise Failure("the request has no interfaces", USAGE)
    owners = {}
    for entry in json.loads(_run(["ip", "-j", "addr", "show"])):
        for address in entry["addr_info"]:
            owners[ipaddress.ip_address(address["local"])] = entry["ifname"]
    return Interfaces(*(_owner(owners, addresses[name]) for name in ("clients", "servers")))


def _owner(owners: Mapping[Any, str], address: str) -> str:
    try:
        return owners[ipaddress.ip_address(address)]
    except (ValueError, KeyError):
        raise Failure(f"no interface has {address!r}", USAGE) from None


def _seed(asked: object, in_force: JsonObject) -> str:
    seed = in_force.get("seed", "0") if asked is None else asked
    if not isinstance(seed, str) or len(seed) > 200:
        raise Failure("the seed is no text, or too long", USAGE)
    return seed


def _choose(asked: object, can: JsonObject) -> str:
    """The backend: the one that is asked for, else the best that works here."""
    if asked is not None and asked not in BACKENDS:
        raise Failure(f"no backend {asked!r}; there are {', '.join(BACKENDS)}", USAGE)
    for name in BACKENDS:
        if can[name] and asked in (None, name):
            return name
    return str(asked or "none")


def _gaps(backend: str, link: LinkSettings, can: JsonObject) -> list[str]:
    if link.is_nothing:
        return []
    if not can.get(backend):
        return [f"backend {backend}"]
    if backend == "netem":
        return tc.netem_gaps(link)
    if backend == "nfqueue":
        return tc.nfqueue_gaps(link, has_tbf=can["tbf"])
    return tc.statistic_gaps(link, has_tbf=can["tbf"])


def _capabilities() -> JsonObject:
    """What the kernel can do, tried out once a start of the router, on loopback and on unused chains."""
    file = STATE / "can.json"
    with suppress(FileNotFoundError, ValueError):
        known: JsonObject = json.loads(file.read_text())
        if known["boot"] == _boot():
            return known
    can = {
        "boot": _boot(),
        "netem": _has_qdisc("netem", "delay", "0"),
        "nfqueue": _has_queue() and _has_rule("-j NFQUEUE --queue-num 65000"),
        "statistic": _has_rule("-m statistic --mode random --probability 0.5 -j DROP"),
        "tbf": _has_qdisc("tbf", "rate", "10gbit", "burst", "1mb", "limit", "10mb"),
        "notrack": _has_rule("-j CT --notrack", "raw"),
    }
    temporary = file.with_suffix(".part")
    temporary.write_text(json.dumps(can))
    temporary.rename(file)
    return can


def _has_qdisc(*words: str) -> bool:
    """Tried on loopback, where such a setting harms nobody for the moment that it lasts."""
    try:
        _run(["tc", "qdisc", "add", "dev", "lo", "root", *words])
    except Failure:
        return False
    _run(["tc", "qdisc", "del", "dev", "lo", "root"])
    return True


def _has_rule(rule: str, table: str = "mangle") -> bool:
    add, remove = tc.probe_rules(rule, table)
    works = True
    for command in FAMILIES.values():
        for change in (add, remove):
            try:
                _run([f"{command}-restore", "--noflush", "--wait"], change)
            except Failure:
                works = False
    return works


def _has_queue() -> bool:
    try:
        Queue(65_000).close()
    except OSError:
        return False
    return True


def _run(argv: list[str], stdin: str = "") -> str:
    done = subprocess.run(argv, input=stdin, capture_output=True, text=True, timeout=10)
    if done.returncode != 0:
        raise Failure(f"{' '.join(argv)}: {done.stderr.strip() or done.returncode}", ENVIRONMENT)
    return done.stdout


@contextmanager
def _alone() -> Iterator[None]:
    """One request at a time."""
    with open(STATE / "lock", "w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


if __name__ == "__main__":
    main("impair", program)
