"""Every FIXED program runs on loopback with four kinds of peer.

``eof``      the peer closes its direction at once
``cut``      the peer closes its direction in the middle of its input
``silence``  the peer sends nothing and stays connected
``split``    the peer's input arrives byte by byte

A client must terminate. A server must terminate too, or else serve the next client. No program may use the
processor while it waits, and only the whole input gets the whole answer. NOT_PLAYED gives the reason for each
case that makes no sense for a program.
"""

import hmac
import re
import resource
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from lab.scenarios import catalog

CASES = ("eof", "cut", "silence", "split")
DEADLINE = 10.0  # seconds for anything that a program is expected to do
CPU = 1  # seconds of processor time; past it the kernel sends SIGXCPU
QUIET = 0.05  # seconds between two checks of a program that should be asleep
LOOPBACK = "127.0.0.1"


@dataclass(frozen=True, kw_only=True)
class Played:
    """``changes`` are made in the program's text always, ``short`` in the case ``silence`` only.

    ``printed`` is its output (without a server's announcement) if its input is whole.
    """

    printed: str = ""
    arguments: tuple[str, ...] = ()
    changes: dict[str, str] = field(default_factory=dict)
    short: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Server(Played):
    """It receives ``request`` and sends ``answer``; the first half of ``request`` gets ``half_answer``.

    ``many``: it serves one client after the other; another server terminates after the first. ``prove`` makes
    the line that comes before the request from a line of the server's.
    """

    request: bytes
    answer: bytes
    half_answer: bytes = b""
    many: bool = False
    prove: Callable[[bytes], bytes] | None = None


@dataclass(frozen=True)
class Client(Played):
    """It receives ``replies``.

    ``regardless`` is the reason why its output doesn't depend on them, ``waits`` the reason why it may wait
    for a silent peer without limit.
    """

    replies: bytes
    regardless: str = ""
    waits: str = ""


@dataclass(frozen=True)
class Sender(Played):
    """It sends datagrams; ``printed`` is its output if nobody answers."""


@dataclass(frozen=True)
class Receiver(Played):
    """It receives ``datagrams`` datagrams; {port} in ``printed`` is the port of their sender."""

    datagrams: int


def framed(*messages: bytes) -> bytes:
    return b"".join(len(message).to_bytes(4, "big") + message for message in messages)


def proof(challenge: bytes) -> bytes:
    """The owner's answer to no-auth's challenge."""
    return hmac.digest(b"between us", bytes.fromhex(challenge.decode()), "sha256").hex().encode() + b"\n"


TIMEOUT = {"timeout=20": "timeout=0.3"}
PROGRAMS: dict[str, Played] = {
    "address-in-use FIXED": Server(b"", b"bye", arguments=("0",)),
    "backlog FIXED": Server(b"hello", b"hello", half_answer=b"he", many=True),
    "bind-loopback FIXED": Server(b"", "欢迎\n".encode(), many=True),
    "blocking FIXED": Server(b"hello\n", b"HELLO\n", half_answer=b"HEL", many=True),
    "both-send FIXED server": Server(
        bytes(16),
        bytes(16),
        half_answer=bytes(16),
        printed="received 16\n",
        changes={"4194304": "16"},
        arguments=("server",),
    ),
    "both-send FIXED client": Client(
        bytes(16), printed="received 16\n", changes={"4194304": "16"}, arguments=("client",)
    ),
    "broadcast FIXED": Sender(),
    "connect-errors FIXED": Client(
        b"x",
        printed="connected\n",
        regardless="it prints before it reads",
        arguments=(LOOPBACK,),
        short={"settimeout(10)": "settimeout(0.3)"},
    ),
    "empty-message FIXED": Client(b"hello\n\nbye\n", printed="hello\n\nbye\n"),
    "eof-spin FIXED": Server(
        b"hello",
        b"",
        printed="".join(f"received {bytes([byte])}\n" for byte in b"hello"),
        short={"settimeout(10)": "settimeout(0.3)"},
    ),
    "gbk-console FIXED": Client(
        b"gbk\n" + "中文".encode("gbk"),
        printed="replaced: 中文\nstrict: 中文\n",
        short={"timeout=5": "timeout=0.3"},
    ),
    "happy-eyeballs FIXED": Client(
        b"",
        printed="AF_INET 0\n",
        regardless="it reads nothing",
        changes={"round(time.monotonic() - started, 3)": "0"},
    ),
    "half-open FIXED": Client(
        b"x",
        printed="connected\n",
        regardless="it prints before it reads",
        waits="the peer's host answers keepalive",
    ),
    "nagle FIXED": Client(b"ok" * 3, printed="ok\n" * 3, changes={"range(20)": "range(3)"}, short=TIMEOUT),
    "nat-callback FIXED": Client(b"delivered", printed="delivered\n", short=TIMEOUT),
    "no-auth FIXED": Server(
        b"echo done\n", b"done\n", many=True, prove=proof, short={"settimeout(5)": "settimeout(0.3)"}
    ),
    "one-recv FIXED": Client(framed(b"hello"), printed="5 5\n", short=TIMEOUT),
    "partial-send FIXED": Client(b"", printed="None\n", regardless="it reads nothing", short=TIMEOUT),
    "path-mtu FIXED": Sender(
        printed="no report: it fits\n65535\n", short={"settimeout(1)": "settimeout(0.3)"}
    ),
    "reset-on-close FIXED": Server(
        b"GET report\n",
        bytes(16),
        half_answer=bytes(16),
        printed="sent all\n",
        changes={"524288": "16"},
        short={"settimeout(5)": "settimeout(0.3)"},
    ),
    "send-after-close FIXED": Client(
        b"",
        printed="the server has left\n",
        regardless="it prints when the stream ends",
        waits="the user types nothing",
    ),
    "same-port FIXED": Receiver(datagrams=9, printed="127.0.0.1 {port} 9\n"),
    "slow-loris FIXED": Server(b"hello\n", b"HELLO\n", many=True),
    "split-brain FIXED": Sender(arguments=("red", *[LOOPBACK] * 5), printed="refused: 0 of 5 answer\n"),
    "split-character FIXED": Client("套接字".encode(), printed="套接字\n", short=TIMEOUT),
    "sticky-packets FIXED_SERVER": Server(
        framed(b"echo one", b"echo two"),
        framed(b"one\n", b"two\n"),
        half_answer=framed(b"one\n"),
        short={"settimeout(20)": "settimeout(0.3)"},
    ),
    "sticky-packets FIXED_CLIENT": Client(
        framed(b"one\n", b"two\n"),
        printed="'one\\n'\n'two\\n'\n",
        arguments=("echo one", "echo two"),
        short=TIMEOUT,
    ),
    "time-wait FIXED": Client(
        b"HELLO" * 3, printed="3\n", changes={"range(250)": "range(3)"}, short={"timeout=10": "timeout=0.3"}
    ),
    "udp-mtu FIXED": Sender(),
    "udp-overrun FIXED": Sender(printed="sent 20\n", short={"settimeout(20)": "settimeout(0.3)"}),
    "udp-refused FIXED": Sender(
        printed="sent 8\nTimeoutError\n", short={"settimeout(0.5)": "settimeout(0.3)"}
    ),
}

REASONS = {
    "it reads nothing, so its input can't be cut or split": (
        [
            *("address-in-use FIXED", "bind-loopback FIXED", "partial-send FIXED", "send-after-close FIXED"),
            "happy-eyeballs FIXED",
        ],
        ["cut", "split"],
    ),
    "it reads one byte, which can't be cut or split": (
        ["connect-errors FIXED", "half-open FIXED"],
        ["cut", "split"],
    ),
    "a datagram arrives whole or not at all, and there is no connection that could end": (
        [name for name, program in PROGRAMS.items() if isinstance(program, Sender | Receiver)],
        ["eof", "cut", "split"],
    ),
}
NOT_PLAYED = {
    (name, case): reason for reason, (names, cases) in REASONS.items() for name in names for case in cases
}


def test_every_fixed_program_is_played():
    fixed = {
        f"{scenario} {program}"
        for scenario in catalog.names()
        for program in catalog.load(scenario).programs
        if program.startswith("FIXED")
    }
    assert {" ".join(name.split()[:2]) for name in PROGRAMS} == fixed


def test_every_reason_belongs_to_a_program():
    assert {name for name, _ in NOT_PLAYED} <= set(PROGRAMS)


def playing(kind):
    cases = [
        (name, case)
        for name, program in PROGRAMS.items()
        for case in CASES
        if isinstance(program, kind) and (name, case) not in NOT_PLAYED
    ]
    return pytest.mark.parametrize(("name", "case"), cases)


@playing(Server)
def test_server(name, case):
    program = PROGRAMS[name]
    with started(name, free_port(), case) as process:
        port = int(process.stdout.readline().split()[-1])
        with socket.create_connection((LOOPBACK, port), DEADLINE) as peer:
            visit(peer, program, case)
            if program.many:
                assert rests(process), "it uses the processor while it waits"
                with socket.create_connection((LOOPBACK, port), DEADLINE) as another:
                    visit(another, program, "whole")
                assert rests(process), "it uses the processor while it waits"
            else:
                printed = output(process)
                assert printed == program.printed or case != "split"


@playing(Client)
def test_client(name, case):
    program = PROGRAMS[name]
    with socket.create_server((LOOPBACK, 0)) as listener:
        listener.settimeout(DEADLINE)
        with (
            started(name, listener.getsockname()[1], case, keyboard=bool(program.waits)) as process,
            listener.accept()[0] as peer,
        ):
            if case != "silence":
                send(peer, part(program.replies, case))
                with suppress(OSError):
                    peer.shutdown(socket.SHUT_WR)
            elif program.waits:
                assert rests(process), "it uses the processor while it waits"
                peer.shutdown(socket.SHUT_WR)
            whole = case == "split" or program.regardless
            assert (output(process) == program.printed) == bool(whole)


@pytest.mark.parametrize(
    ("typed", "printed"),
    [
        ([], ""),
        ([b"one\n"], "sent b'one\\n'\n"),
        ([b"o", b"n", b"e\n"], "sent b'o'\nsent b'n'\nsent b'e\\n'\n"),
        ([b"one\ntwo\n"], "sent b'one\\ntwo\\n'\n"),
    ],
)
def test_send_after_close_sends_what_is_typed_and_ends_at_ctrl_d(typed, printed):
    with socket.create_server((LOOPBACK, 0)) as listener:
        listener.settimeout(DEADLINE)
        port = listener.getsockname()[1]
        with (
            started("send-after-close FIXED", port, keyboard=True) as process,
            listener.accept()[0] as peer,
        ):
            for piece in typed:
                process.stdin.buffer.write(piece)
                process.stdin.flush()
                assert peer.recv(1024) == piece
            assert output(process) == printed  # standard input ends here
            assert peer.recv(1024) == b""


@playing(Sender)
def test_sender(name, case):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as receiver:
        receiver.bind((LOOPBACK, 0))
        with started(name, receiver.getsockname()[1], case) as process:
            assert output(process) == PROGRAMS[name].printed


@playing(Receiver)
def test_receiver(name, case):
    """In the case ``silence`` the last datagram comes later."""
    program = PROGRAMS[name]
    with (
        started(name, free_port(), case) as process,
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender,
    ):
        sender.connect((LOOPBACK, int(process.stdout.readline().split()[-1])))
        for _ in range(program.datagrams - 1):
            sender.send(b"x")
        assert rests(process), "it uses the processor while it waits"
        sender.send(b"x")
        assert output(process) == program.printed.format(port=sender.getsockname()[1])


def visit(peer, program, case):
    """Plays a client of the server until the end of its input, or until its timeout."""
    if case == "silence":
        return
    if program.prove and case != "eof":
        peer.sendall(program.prove(line(peer)))
    send(peer, part(program.request, case))
    with suppress(OSError):
        peer.shutdown(socket.SHUT_WR)
    received = to_the_end(peer)
    if case == "cut":
        assert received == program.half_answer
    elif case != "eof":
        assert received == program.answer


def part(data, case):
    return {"eof": b"", "cut": data[: len(data) // 2]}.get(case, data)


def send(peer, data):
    """Sends byte by byte: each one after the program has read the previous one."""
    with suppress(OSError):  # the program may exit early; then its output or its answer is wrong
        for number in range(len(data)):
            peer.sendall(data[number : number + 1])
            assert soon(lambda: unread(peer) == 0), "it doesn't read"


def unread(peer):
    """The number of bytes in the receive buffer of the other end; 0 if that is closed."""
    ends = peer.getpeername()[1], peer.getsockname()[1]
    for row in Path("/proc/net/tcp").read_text().splitlines()[1:]:
        _, local, remote, _, queues, *_ = row.split()
        if (int(local.partition(":")[2], 16), int(remote.partition(":")[2], 16)) == ends:
            return int(queues.partition(":")[2], 16)
    return 0


def line(peer):
    with peer.makefile("rb", 0) as stream:
        return stream.readline()


def to_the_end(peer):
    """All data from the server, even if it resets the connection at the end."""
    received = b""
    try:
        while data := peer.recv(65536):
            received += data
    except ConnectionResetError:
        pass
    return received


@contextmanager
def started(name, port, case="whole", keyboard=False):
    """Runs the program on ``port`` of the loopback interface, with a limit on its processor time."""
    program = PROGRAMS[name]
    text = changed(name, port, program.changes | (program.short if case == "silence" else {}))
    arguments = [str(port) if argument == "PORT" else argument for argument in program.arguments]
    command = [sys.executable, "-P", "-c", text, *arguments]
    pipes = dict.fromkeys(("stdout", "stderr"), subprocess.PIPE)
    stdin = subprocess.PIPE if keyboard else subprocess.DEVNULL
    with subprocess.Popen(command, stdin=stdin, **pipes, text=True, encoding="utf-8") as process:
        resource.prlimit(process.pid, resource.RLIMIT_CPU, (CPU, CPU + 1))
        try:
            yield process
        finally:
            process.kill()


def changed(name, port, changes):
    scenario, key, *_ = name.split()
    text = catalog.load(scenario).programs[key]
    text = re.sub(r'\("[a-z0-9.]*", (\d{4}|int\()', rf'("{LOOPBACK}", \1', text)
    text = re.sub(r"\b(70\d\d|8001)\b", str(port), text)
    for old, new in changes.items():
        assert old in text, f"{name}: no {old!r} in its text"
        text = text.replace(old, new)
    return text


def free_port():
    with socket.create_server((LOOPBACK, 0)) as listener:
        return listener.getsockname()[1]


def output(process):
    """The output of the program until it terminates."""
    try:
        printed, errors = process.communicate(timeout=DEADLINE)
    except subprocess.TimeoutExpired:
        pytest.fail("it doesn't terminate")
    assert process.returncode != -signal.SIGXCPU, "it uses the processor without end"
    print(errors)
    return printed


def rests(process):
    """Whether all threads of the program go to sleep and stay asleep."""
    return soon(lambda: sleeps(process) and sleeps(process) == sleeps_later(process))


def sleeps(process):
    """How often each thread has gone to sleep; None if one is awake."""
    threads = {}
    for task in Path(f"/proc/{process.pid}/task").iterdir():
        try:
            text = (task / "status").read_text()
        except (FileNotFoundError, ProcessLookupError):  # the thread has just ended
            return None
        status = dict(row.split(":\t") for row in text.splitlines() if ":\t" in row)
        if status["State"][0] != "S":
            return None
        threads[task.name] = status["voluntary_ctxt_switches"], status["nonvoluntary_ctxt_switches"]
    return threads


def sleeps_later(process):
    time.sleep(QUIET)
    return sleeps(process)


def soon(true):
    """Whether it becomes true before the deadline."""
    until = time.monotonic() + DEADLINE
    while not true():
        if time.monotonic() > until:
            return False
        time.sleep(0.001)
    return True
