"""Records the evidence for test_diagnosis.py: each case is a real run on a running lab.

    python -m tests.evidence.record_cases LAB [CASE...]

Each case writes recorded/<case>/: the folder of the run without the files that the tests don't read. Some
cases change a host without the lab's knowledge (a filter, a pulled cable), with docker as root, and undo it.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import tempfile
import time
from contextlib import contextmanager, suppress
from pathlib import Path

from lab.control.lab import ignore
from lab.control.transport import from_engine
from lab.errors import LabError
from lab.scenarios.catalog import Scenario
from lab.scenarios.play import play

RECORDED = Path(__file__).parent / "recorded"
PORT = 8001
LISTENER = f"""
import socket, sys, time
s = socket.socket()
s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
s.bind(("", {PORT})); s.listen(); print("listening on", {PORT}, flush=True)
"""
CONNECT = f"""
import socket, sys, time
c = socket.create_connection(("win10", {PORT}), 3)
"""


def as_root(lab, node, *argv, check=True):
    name = f"{lab.title}-{lab[node].name}-1"
    subprocess.run(["docker", "exec", "--user", "root", name, *argv], check=check, capture_output=True)


@contextmanager
def dropped(lab, *match):
    """The router drops matching packets while the context is active."""
    as_root(lab, "router", "iptables", "-I", "FORWARD", *match, "-j", "DROP")
    try:
        yield
    finally:
        as_root(lab, "router", "iptables", "-D", "FORWARD", *match, "-j", "DROP")


def send(lab, *words, host="win10", port=PORT):
    return lab.client.run(
        ["lab-echo", "send", host, *words, "--mode", "hello", "--port", str(port)], timeout=20
    )


def healthy(lab):
    with lab.server.start(f"lab-echo serve --mode hello --port {PORT}") as server:
        send(lab, "hello")
        server.wait_for_line("hello")


def healthy_second_try(lab):
    """The client is refused, retries and is served: nothing failed."""
    patient = (
        "import socket, time\n"
        "for _ in range(100):\n"
        "  try:\n"
        f"    c = socket.create_connection(('win10', {PORT})); break\n"
        "  except OSError: time.sleep(0.1)\n"
        "c.sendall(b'hello'); print(c.recv(100))"
    )
    with lab.client.start_python(patient, announce="") as client:
        time.sleep(0.3)
        with lab.server.start(f"lab-echo serve --mode hello --port {PORT}"):
            client.wait()


def refused(lab):
    with lab.server.start(f"lab-echo serve --mode hello --port {PORT + 1}"):
        send(lab, "hello", host="win10")


def refused_loopback(lab):
    with lab.server.start(f"lab-echo serve --mode hello --host 127.0.0.1 --port {PORT}"):
        send(lab, "hello")


def refused_early(lab):
    send(lab, "hello")
    with lab.server.start(f"lab-echo serve --mode hello --port {PORT}"):
        time.sleep(0.2)


def refused_ipv6(lab):
    with lab.server.start(f"lab-echo serve --mode hello --host 0.0.0.0 --port {PORT}"):
        send(lab, "hello", host=lab.server.address6)


def to_itself(lab):
    with lab.server.start(f"lab-echo serve --mode hello --port {PORT}"):
        send(lab, "hello", host="localhost")


def wrong_host(lab):
    program = f"import socket; socket.create_connection(({lab.router.address!r}, {PORT})) # for win10"
    with lab.server.start(f"lab-echo serve --mode hello --port {PORT}"):
        lab.client.python(program, "win10")


def unknown_name(lab):
    send(lab, "hello", host="win11")


def partitioned(lab):
    with lab.server.start(f"lab-echo serve --mode hello --port {PORT}"), dropped(lab, "-p", "tcp"):
        lab.client.python(CONNECT.replace("3)", "3.5)").replace('"win10"', repr(lab.server.address)))


def way_back_cut(lab):
    match = ("-p", "tcp", "--sport", str(PORT))
    with lab.server.start(f"lab-echo serve --mode hello --port {PORT}"), dropped(lab, *match):
        lab.client.python(CONNECT.replace('"win10"', repr(lab.server.address)))


def power_cut(lab):
    lab.server.power_off()
    try:
        lab.client.python(CONNECT.replace("3)", "6)").replace('"win10"', repr(lab.server.address)))
    finally:
        lab.server.power_on()


def frozen(lab):
    with lab.server.start(f"lab-echo serve --mode hello --port {PORT}"), lab.server.paused():
        program = CONNECT + "c.sendall(b'hello'); print(c.recv(100))"
        lab.client.python(program.replace('"win10"', repr(lab.server.address)))


def backlog_full(lab):
    listener = LISTENER.replace("s.listen()", "s.listen(0)") + "time.sleep(30)"
    program = (
        "import socket\n"
        f"cs = [socket.create_connection(({lab.server.address!r}, {PORT}), 2.5) for _ in range(4)]"
    )
    with lab.server.start_python(listener):
        lab.client.python(program)


def address_in_use(lab):
    with lab.server.start(f"lab-echo serve --mode hello --port {PORT}"):
        time.sleep(0.05)
        lab.server.run(f"lab-echo serve --mode reverse --port {PORT}")


def time_wait(lab):
    once = LISTENER.replace("s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)\n", "")
    once += "c, _ = s.accept(); c.close(); time.sleep(0.1)"
    once = once.replace(str(PORT), "8077")
    with lab.server.start_python(once) as server:
        lab.client.python(CONNECT.replace(str(PORT), "8077") + "print(c.recv(10)); c.close()")
        server.wait()
    lab.server.python(once, "--port", "8077")


def reset_unread(lab):
    listener = LISTENER + "c, _ = s.accept(); time.sleep(0.3); c.close(); time.sleep(1)"
    with lab.server.start_python(listener):
        lab.client.python(CONNECT + "c.sendall(b'x' * 5000); time.sleep(0.6); print(c.recv(10))")


def send_after_close(lab):
    listener = LISTENER + "c, _ = s.accept(); c.close(); time.sleep(2)"
    program = CONNECT + "time.sleep(0.2)\nfor _ in range(3): c.sendall(b'hello'); time.sleep(0.2)"
    with lab.server.start_python(listener):
        lab.client.python(program)


def cable_pulled(lab):
    """The path to the server is cut during a connection."""
    listener = LISTENER + "c, _ = s.accept(); print(c.recv(10), flush=True); time.sleep(30)"
    program = CONNECT.replace('"win10"', repr(lab.server.address)) + (
        "c.sendall(b'one'); time.sleep(0.5); c.sendall(b'two'); c.settimeout(3); print(c.recv(10))"
    )
    match = ("-p", "tcp", "--dport", str(PORT))
    with (
        lab.server.start_python(listener) as server,
        lab.client.start_python(program, announce="") as client,
    ):
        server.wait_for_line("one")
        with dropped(lab, *match):
            client.wait()


def both_send(lab):
    listener = LISTENER + "c, _ = s.accept(); c.settimeout(3); c.sendall(b'x' * 50_000_000)"
    with lab.server.start_python(listener):
        lab.client.python(CONNECT + "c.settimeout(3); c.sendall(b'x' * 50_000_000)")


def never_read(lab):
    listener = LISTENER + "c, _ = s.accept(); time.sleep(30)"
    with lab.server.start_python(listener):
        lab.client.python(CONNECT + "c.settimeout(1.5); c.sendall(b'hello'); c.recv(10)")


def reader_stuck(lab):
    listener = LISTENER + "c, _ = s.accept(); time.sleep(30)"
    with lab.server.start_python(listener):
        lab.client.python(CONNECT + "c.settimeout(2); c.sendall(b'x' * 50_000_000)")


def empty_message(lab):
    listener = LISTENER + "c, _ = s.accept(); c.recv(10); time.sleep(3)"
    with lab.server.start_python(listener):
        lab.client.python(CONNECT + "c.settimeout(1.5); c.sendall(b''); c.recv(10)")


def waits_for_more(lab):
    listener = LISTENER + "c, _ = s.accept()\nn = 0\nwhile n < 100: n += len(c.recv(10))"
    with lab.server.start_python(listener):
        lab.client.python(CONNECT + "c.settimeout(1.5); c.sendall(b'hello'); c.recv(10)")


def closed_early(lab):
    listener = LISTENER + "c, _ = s.accept(); c.recv(100); c.close(); time.sleep(1)"
    with lab.server.start_python(listener):
        lab.client.python(CONNECT + "c.sendall(b'hello'); assert c.recv(10)")


UDP = "import socket, time\ns = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)\n"


def overrun(lab):
    server = UDP + (
        "s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096); s.bind(('', 9090))\n"
        "print('listening on 9090', flush=True); time.sleep(30)"
    )
    burst = UDP + f"for _ in range(50): s.sendto(b'x' * 500, ({lab.server.address!r}, 9090))"
    with lab.server.start_python(server):
        lab.client.python(burst)
        time.sleep(0.3)


def udp_refused(lab):
    lab.client.python(UDP + f"s.sendto(b'hello', ({lab.server.address!r}, 9090)); time.sleep(0.2)")


def udp_lost(lab):
    server = UDP + "s.bind(('', 9090)); print('listening on 9090', flush=True); time.sleep(30)"
    client = UDP + f"for n in range(8): s.sendto(b'%d' % n, ({lab.server.address!r}, 9090)); time.sleep(0.01)"
    every = ("-p", "udp", "-m", "statistic", "--mode", "nth", "--every", "4", "--packet", "1")
    with lab.server.start_python(server), dropped(lab, *every):
        lab.client.python(client)


def no_route(lab):
    lab.client.python("import socket; socket.create_connection(('10.99.99.99', 80), 3)")


def gbk(lab):
    listener = LISTENER + "c, _ = s.accept(); c.sendall('中文'.encode('gbk')); c.close()"
    with lab.server.start_python(listener):
        lab.client.python(CONNECT + "print(c.recv(100).decode())")


def split_character(lab):
    listener = LISTENER + "c, _ = s.accept(); c.sendall('目录'.encode()); c.close()"
    with lab.server.start_python(listener):
        lab.client.python(CONNECT + "print(c.recv(4).decode())")


CASES = [
    healthy, healthy_second_try, refused, refused_loopback, refused_early, refused_ipv6, to_itself,
    wrong_host, unknown_name, partitioned, way_back_cut, power_cut, frozen, backlog_full,
    address_in_use, time_wait,
    reset_unread, send_after_close, cable_pulled, both_send, never_read, reader_stuck, empty_message,
    waits_for_more, closed_early, overrun, udp_refused, udp_lost, no_route, gbk, split_character,
]  # fmt: skip


def record(project: str, case) -> None:
    def run(lab):
        with suppress(LabError):  # in most cases a program fails or is killed
            case(lab)
        return {}

    def check(_):
        raise AssertionError("recorded")

    with tempfile.TemporaryDirectory() as runs:
        scenario = Scenario(case.__name__, "A recorded case", "", run, check)
        outcome = play(scenario, lambda observe: from_engine(project, observe), ignore, Path(runs))
        keep(outcome.folder, RECORDED / case.__name__)
        print(
            f"{case.__name__}: {outcome.reason}\n   {outcome.diagnosis.text} {outcome.diagnosis.see_also}",
            flush=True,
        )


def keep(folder: Path, target: Path) -> None:
    """Keeps the files that the diagnosis reads, and the events except packets, which are in the captures."""
    shutil.rmtree(target, ignore_errors=True)
    target.mkdir(parents=True)
    for capture in folder.glob("*.pcapng"):
        shutil.copy(capture, target)
    with open(folder / "events.jsonl") as events, open(target / "events.jsonl", "w") as kept:
        kept.writelines(line for line in events if json.loads(line)["kind"] != "packet")
    about = json.loads((folder / "record.json").read_text())
    wanted = ("scenario", "verdict", "nodes", "captures")
    (target / "record.json").write_text(json.dumps({key: about[key] for key in wanted}, indent=1) + "\n")


if __name__ == "__main__":
    lab_name, *names = sys.argv[1:]
    for each in CASES:
        if not names or each.__name__ in names:
            record(lab_name, each)
