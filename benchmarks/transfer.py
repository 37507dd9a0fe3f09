"""The rate of a verified put of 1 GiB across the router, with lab-transfer, scp, sftp, rsync and iperf3."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator

from benchmarks.rig import Rig, peak_of_module, processor_seconds, serving
from benchmarks.table import BITS_PER_SECOND, BYTES, SECONDS, CannotMeasure, Table, Way, alternate, timed
from lab.control.host import Host
from lab.control.lab import Lab

SIZE = 1 << 30
SIZES = {"1 MiB": 1 << 20, "64 MiB": 64 << 20, "1 GiB": SIZE}
TIMEOUT = 180.0  # seconds, for one measurement
FOLDER = "/tmp/bench"  # in the container's own layer, so on disk; the same for all tools
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
    """The rate of each way, and the processor time that it takes on both hosts."""
    cost = Table("Processor time of client and server for 1 GiB", SECONDS, base=SCP)
    table = Table("1 GiB from client to server, across the router", BITS_PER_SECOND, base=SCP)
    table.remarks |= {
        OURS: "SHA-256 on both hosts, fsync of file and directory, rename: on disk when it returns",
        SAFE: "the same guarantees with scp: sha256sum on both hosts, sync on the server",
        STREAM: "upper limit: memory to memory, no file, no digest",
        HASH: "only the digest of the file on the client; nothing is sent",
        RSYNC: "--whole-file over ssh; verifies with its own digest; no fsync",
    }
    table.notes.append(
        "Each measurement is a whole process, from a file to a new file on the same disk. scp, sftp and "
        "rsync leave the data in the page cache, which is written back before the next measurement."
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
    table.at_least(0.4, "lab-transfer put, as a share of iperf3's rate", table.times(OURS, STREAM))
    yield table
    cost.notes.append("Of all processes on the two hosts, user and system time; the warm-up is included.")
    yield cost


def costing(cost: Table, name: str, way: Way, lab: Lab) -> Way:
    """``way``, which also adds its processor time to ``cost``."""

    def both() -> float:
        return processor_seconds(lab.client) + processor_seconds(lab.server)

    def counted() -> float:
        before = both()
        value = way()
        cost.add(name, both() - before)
        return value

    return counted


def memory(lab: Lab) -> Table:
    """Peak memory of client and server by file size, with a new server for each size."""
    table = Table("Peak memory (VmHWM) of a put, by file size", BYTES)
    for name, size in SIZES.items():
        lab.client.run(f"head -c {size} {SOURCE} >{FOLDER}/part", check=True, timeout=TIMEOUT)
        command = f"lab-transfer serve --port {PORT} --root {FOLDER}"
        with serving(lab.server, command) as server:
            arguments = ["put", "server", f"{FOLDER}/part", "--to", "copy", "--port", str(PORT)]
            peak = peak_of_module(lab.client, "lab.programs.transfer", *arguments, timeout=TIMEOUT)
            table.add(f"client, {name}", peak)
            table.add(f"server, {name}", server.peak())
    for end in ("client", "server"):
        text = f"peak of the {end} at 1 GiB, as a multiple of the peak at 64 MiB"
        table.at_most(1.1, text, table.times(f"{end}, 1 GiB", f"{end}, 64 MiB"))
    table.notes.append("Files up to 1 MiB are sent without threads and large blocks.")
    return table


class folders:
    """A context in which FOLDER exists on both hosts."""

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
    """The rate at which ``command`` on the client creates FOLDER/copy on the server."""

    def way() -> float:
        lab.server.run(f"rm -f {FOLDER}/copy; sync", check=True, timeout=TIMEOUT)
        rate = as_rate(lambda: lab.client.run(command, check=True, timeout=TIMEOUT))()
        size = lab.server.run(f"stat -c %s {FOLDER}/copy", check=True).stdout.strip()
        if size != str(SIZE):
            raise CannotMeasure(f"the copy has {size} bytes")
        return rate

    return way


def as_rate(action: Callable[[], object]) -> Way:
    """The rate in bit/s of an ``action`` that processes SIZE bytes."""
    return lambda: 8 * SIZE / timed(action)()


def one_stream(lab: Lab) -> float:
    """The rate in bit/s that iperf3's receiver reports for two seconds.

    --bytes is not used, because iperf3 checks it only once a second, which limits 1 GiB to 8.6 Gbit/s.
    """
    with lab.server.start("iperf3 --server --one-off --forceflush", announce="Server listening"):
        done = lab.client.run("iperf3 --client server --time 2 --json", check=True, timeout=TIMEOUT)
    return float(json.loads(done.stdout)["end"]["sum_received"]["bits_per_second"])
