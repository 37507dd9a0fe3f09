"""The time of a command on a host: Host.run, docker exec and ssh compared."""

from __future__ import annotations

import subprocess
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

from benchmarks.rig import Rig, tool
from benchmarks.table import SECONDS, CannotMeasure, Table, Way, alternate, timed
from lab.engine.client import Engine
from lab.engine.docker_transport import KEYS, RELAY

OURS, EXEC, FRESH, MUX = 'Host.run("true")', "docker exec", "ssh, fresh", "ssh, multiplexed"
BURST = 20  # commands of each way in a round


def measure(rig: Rig) -> Iterator[Table]:
    table = Table("A command (`true`) on a host, from this machine", SECONDS, base=OURS)
    table.remarks[OURS] = "over the lab's warm connection"
    table.remarks[FRESH] = "login each time, through `docker exec -i … socat`, strict known_hosts"
    table.remarks[MUX] = "ControlMaster; a client process each time"
    server = rig.lab.server
    container = f"{rig.project()}-server-1"
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        ways = {
            OURS: timed(lambda: server.run("true", check=True)),
            EXEC: of_argv(lambda: [tool("docker"), "exec", container, "true"]),
            FRESH: of_argv(lambda: [*ssh(rig, container, folder), "server", "true"]),
            MUX: of_argv(lambda: [*multiplexed(rig, container, folder, stack), "server", "true"]),
        }
        for _ in range(rig.rounds(10)):
            bursts(table, ways)
    table.at_most(0.004, OURS, table.median(OURS), SECONDS)
    yield table


def bursts(table: Table, ways: dict[str, Way]) -> None:
    """Measures each way BURST times in a row: the first commands after an idle time are slow for all."""
    for name, way in ways.items():
        if name not in table.missing:
            alternate(table, {name: way}, BURST if name == OURS else BURST // 4)


def of_argv(argv: Callable[[], list[str]]) -> Way:
    """The way that runs ``argv()``; the clock starts after ``argv`` has returned."""

    def way() -> float:
        words = argv()
        return timed(lambda: _run(words))()

    return way


def _run(argv: list[str]) -> None:
    subprocess.run(argv, stdin=subprocess.DEVNULL, capture_output=True, check=True, timeout=30)


def ssh(rig: Rig, container: str, folder: Path) -> list[str]:
    """The argv of ssh to ``container``, with the lab's key and known_hosts."""
    if not (folder / "user").exists():
        _copy_keys(rig, folder)
    return [
        tool("ssh"), "-F", "none", "-i", str(folder / "user"), "-l", "lab", "-o", "BatchMode=yes",
        "-o", "StrictHostKeyChecking=yes", "-o", f"UserKnownHostsFile={folder}/known_hosts",
        "-o", f"ProxyCommand={tool('docker')} exec -i {container} {' '.join(RELAY)}",
    ]  # fmt: skip


def multiplexed(rig: Rig, container: str, folder: Path, stack: ExitStack) -> list[str]:
    """The argv of ssh over a master connection, which is opened when first used and closed by ``stack``."""
    path = folder / "master"
    argv = [*ssh(rig, container, folder), "-o", f"ControlPath={path}"]
    if not path.exists():
        # -f: it goes to the background after the login, and must not hold a pipe of this process open.
        started = subprocess.run(
            [*argv, "-f", "-N", "-M", "server"], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL, timeout=30,
        )  # fmt: skip
        if started.returncode != 0:
            raise CannotMeasure(f"ssh -M failed with exit code {started.returncode}")
        stack.callback(subprocess.run, [*argv, "-O", "exit", "server"], capture_output=True, timeout=30)
    return argv


def _copy_keys(rig: Rig, folder: Path) -> None:
    with Engine() as engine:
        files = engine.read_files(engine.nodes(rig.project())[0], KEYS)
    for name in ("known_hosts", "user"):
        (folder / name).touch(mode=0o600)
        (folder / name).write_bytes(files[name])
