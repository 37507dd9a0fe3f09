"""A verified put of 1 GiB across the router: lab-transfer against scp, sftp, rsync and iperf3."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator

from benchmarks.rig import Rig, peak_of_module, processor_seconds, serving
from benchmarks.table import BITS_PER_SECOND, BYTES, SECONDS, CannotMeasure, Table, Way, alternate, timed
from lab.control.host import Host
from lab.control.lab import Lab

SIZE = 1 << 30
SIZES = {"1 MiB": 1 << 20, "64 MiB": 64 << 20, "1 GiB": SIZE}
TIMEOUT = 180.0  # seconds for one way, once
FOLDER = "/tmp/bench"  # the container's own layer: on disk, and the same place for all
SOURCE = f"{FOLDER}/source"
PORT = 4100
VERIFY = f"sha256sum {SOURCE} && ssh server 'sha256sum {FOLDER}/copy && sync {FOLDER}/copy {FOLDER}'"

OURS, SAFE, SCP, SFTP, RSYNC, STREAM, HASH = (
    "lab-transfer put", "scp, sha256sum, sync", "scp", "sftp", "rsync", "iperf3, one stream", "sha256sum",
)  # fmt: skip


def measure(rig: Rig) -> Iterator[Table]:
    lab = rig.lab
    with folders(lab):
        make_source(lab.client, SIZE)
        yield from speed(lab, rig.rounds(5))
        yield memory(lab)


def speed(lab: Lab, rounds: int) -> Iterator[Table]:
    """The rates, and what they cost the processors of both ends."""
    cost = Table("Processor time of client and server for that GiB", SECONDS, base=SCP)
    table = Table("1 GiB from client to server, across the router", BITS_PER_SECOND, base=SCP)
    table.remarks |= {
        OURS: "SHA-256 on both ends, fsync of file and directory, rename: on the disk when it returns",
        SAFE: "what it takes to know the same of scp's copy: sha256sum on both ends, sync on the server",
        STREAM: "the limit: memory to memory, no file, no digest",
        HASH: "the digest alone, of the same file on the client; nothing is sent",
        RSYNC: "--whole-file over ssh; verifies with a digest of its own; no fsync",
    }
    table.notes.append(
        "Each is a whole process, from its start to its end, from a file to a new file on the same disk; "
        "scp, sftp and rsync leave the data in the page cache, which is written before the next one starts."
    )
    with serving(lab.server, f"lab-transfer serve --port {PORT} --root {FOLDER}"):
        ways = {
            OURS: copying(lab, f"lab-transfer put server {SOURCE} --to copy --port {PORT}"),
            SCP: copying(lab, f"scp -q {SOURCE} server:{FOLDER}/copy"),
            SFTP: copying(lab, f"echo put {SOURCE} {FOLDER}/copy | sftp -q -b - server"),
            RSYNC: copying(lab, f"rsync --whole-file {SOURCE} server:{FOLDER}/copy"),
            SAFE: copying(lab, f"scp -q {SOURCE} server:{FOLDER}/copy && {VERIFY}"),
            STREAM: lambda: one_stream(lab),
            HASH: as_rate(lambda: lab.client.run(f"sha256sum {SOURCE}", check=True, timeout=TIMEOUT)),
        }
        counted = {name: costing(cost, name, way, lab) for name, way in ways.items() if name != STREAM}
        alternate(table, {**counted, STREAM: ways[STREAM]}, rounds)
    table.at_least(3.0, "lab-transfer put, as a multiple of scp's rate", table.times(OURS, SCP))
    table.at_least(0.4, "lab-transfer put, as a part of iperf3's rate", table.times(OURS, STREAM))
    yield table
    cost.notes.append(
        "Of all processes on the two hosts, and what the kernel does for them; the warm-up counts too."
    )
    yield cost


def costing(cost: Table, name: str, way: Way, lab: Lab) -> Way:
    """``way``, whose processor time goes into ``cost``."""

    def both() -> float:
        return processor_seconds(lab.client) + processor_seconds(lab.server)

    def counted() -> float:
        before = both()
        value = way()
        cost.add(name, both() - before)
        return value

    return counted


def memory(lab: Lab) -> Table:
    """Peak memory of both ends by size of the file; a server of its own for each size."""
    table = Table("Peak memory (VmHWM) of a put, by size of the file", BYTES)
    for name, size in SIZES.items():
        lab.client.run(f"head -c {size} {SOURCE} >{FOLDER}/part", check=True, timeout=TIMEOUT)
        command = f"lab-transfer serve --port {PORT} --root {FOLDER}"
        with serving(lab.server, command) as server:
            arguments = ["put", "server", f"{FOLDER}/part", "--to", "copy", "--port", str(PORT)]
            peak = peak_of_module(lab.client, "lab.programs.transfer", *arguments, timeout=TIMEOUT)
            table.add(f"client, {name}", peak)
            table.add(f"server, {name}", server.peak())
    for end in ("client", "server"):
        text = f"{end}'s peak at 1 GiB, as a multiple of that at 64 MiB"
        table.at_most(1.1, text, table.times(f"{end}, 1 GiB", f"{end}, 64 MiB"))
    table.notes.append("A file of up to 1 MiB has neither threads nor large blocks.")
    return table


class folders:
    """A context with FOLDER on both hosts."""

    def __init__(self, lab: Lab) -> None:
        self._hosts = (lab.client, lab.server)

    def __enter__(self) -> None:
        for host in self._hosts:
            host.run(f"mkdir -p {FOLDER}", check=True)

    def __exit__(self, *_: object) -> None:
        for host in self._hosts:
            host.run(f"rm -rf {FOLDER}")


def make_source(client: Host, size: int) -> None:
    client.run(f"head -c {size} /dev/urandom >{SOURCE} && sync {SOURCE}", check=True, timeout=TIMEOUT)


def copying(lab: Lab, command: str) -> Way:
    """The rate at which ``command`` on the client makes FOLDER/copy on the server, where nothing was."""

    def way() -> float:
        lab.server.run(f"rm -f {FOLDER}/copy; sync", check=True, timeout=TIMEOUT)
        rate = as_rate(lambda: lab.client.run(command, check=True, timeout=TIMEOUT))()
        size = lab.server.run(f"stat -c %s {FOLDER}/copy", check=True).stdout.strip()
        if size != str(SIZE):
            raise CannotMeasure(f"the copy has {size} bytes")
        return rate

    return way


def as_rate(action: Callable[[], object]) -> Way:
    """The bits a second of an ``action`` that deals with SIZE bytes."""
    return lambda: 8 * SIZE / timed(action)()


def one_stream(lab: Lab) -> float:
    """What iperf3's receiver got, by its own account, in two seconds.

    Not by --bytes: it looks only once a second whether they are there, and says 8.6 Gbit/s of any faster GiB.
    """
    with lab.server.start("iperf3 --server --one-off --forceflush", announce="Server listening"):
        done = lab.client.run("iperf3 --client server --time 2 --json", check=True, timeout=TIMEOUT)
    return float(json.loads(done.stdout)["end"]["sum_received"]["bits_per_second"])
