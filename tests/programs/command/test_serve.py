"""lab-command serve: answers, limits, killed processes, start and stop."""

import contextlib
import json
import os
import signal
import socket
import struct
from pathlib import Path

import pytest

from lab.programs.command.process_tree import children
from lab.protocols import framing
from lab.protocols.command import TIMEOUT
from tests.programs.command.command_rig import (
    Peer,
    lab_command,
    run,
    serving,
    sleepers,
    unique_sleep,
    wait_for_sleepers,
    wait_until,
)


@pytest.fixture(scope="module")
def port():
    """The port of one server that must survive all tests of this module."""
    with serving("--header-timeout", "1") as server:
        yield server.port
        with Peer(server.port) as peer:
            peer.ask("echo fine")
            assert peer.answer()[0] == b"fine\n"


# ------------------------------------------------------------------------------------- answers


def test_streams_and_exit_code(port):
    with Peer(port) as peer:
        peer.ask("echo out; echo err >&2; exit 7")
        stdout, stderr, ending = peer.answer()
        assert (stdout, stderr, ending["exit_code"]) == (b"out\n", b"err\n", 7)
        assert (ending["truncated"], ending["timed_out"], ending["limit"]) == (False, False, TIMEOUT)
        peer.ask("kill -TERM $$")
        assert peer.answer()[2]["signal"] == signal.SIGTERM


def test_output_is_sent_as_it_is_produced(port):
    with Peer(port) as peer:
        seconds = unique_sleep()
        peer.ask(f"echo early; sleep {seconds}")
        assert peer.frame() == ({"op": "stdout", "encoding": "utf-8", "total_size": 6}, b"early\n")
        wait_for_sleepers(seconds, 1)
    wait_for_sleepers(seconds, 0)


def test_a_command_has_empty_standard_input(port):
    with Peer(port) as peer:
        peer.ask("cat; echo done")
        assert peer.answer()[0] == b"done\n"


def test_a_command_inherits_no_descriptors_and_signal_settings(port):
    with Peer(port) as peer:
        peer.ask("ls /proc/self/fd | wc -l; grep -E 'Sig(Ign|Blk)' /proc/self/status")
        stdout, _, _ = peer.answer()
    count, blocked, ignored = stdout.splitlines()
    assert int(count) == 4, "0, 1, 2 and the directory that ls reads"
    assert int(blocked.split()[1], 16) == 0
    for number in (signal.SIGPIPE, signal.SIGXFSZ, signal.SIGINT):
        assert not int(ignored.split()[1], 16) & 1 << (number - 1)


def test_pipelined_requests_are_answered_in_order(port):
    with Peer(port) as peer:
        for number in range(20):
            peer.ask(f"echo {number}")
        assert [peer.answer()[0] for _ in range(20)] == [b"%d\n" % number for number in range(20)]


def test_a_frame_sent_byte_by_byte_is_recognized(port):
    with Peer(port) as peer:
        for byte in framing.encode({"op": "run", "command": "echo slow"}):
            peer.send(bytes([byte]))
        assert peer.answer()[0] == b"slow\n"


def test_encoding_of_the_request(port):
    with Peer(port) as peer:
        peer.ask("echo 你好", encoding="gbk")
        fields, payload = peer.frame()
        assert (fields["encoding"], payload) == ("gbk", "你好\n".encode("gbk"))


def test_sessions_run_concurrently(port):
    with contextlib.ExitStack() as stack:
        peers = [stack.enter_context(Peer(port)) for _ in range(60)]
        for _ in range(3):
            for number, peer in enumerate(peers):
                peer.ask(f"echo {number}")
            for number, peer in enumerate(peers):
                assert peer.answer()[0] == b"%d\n" % number


# -------------------------------------------------------------------------------------- limits


def test_timeout_kills_children_and_grandchildren(port):
    seconds = unique_sleep()
    ways = [
        "sleep {} &",  # a child
        "sh -c 'sleep {} & wait' &",  # a grandchild
        "setsid sleep {} &",  # leaves the process group
        "(setsid sleep {} &);",  # and has no parent: a daemon
        "(setsid sleep {} >/dev/null 2>&1 </dev/null &);",  # and has none of our pipes
        "env -i setsid sleep {} &",  # has no mark in its environment
        "nohup sleep {} >/dev/null 2>&1 &",
    ]
    with Peer(port) as peer:
        peer.ask(" ".join(way.format(seconds) for way in ways) + f" sleep {seconds}", timeout=1.5)
        wait_for_sleepers(seconds, len(ways) + 1)
        _, _, ending = peer.answer()
    assert (ending["timed_out"], ending["signal"], ending["limit"]) == (True, signal.SIGKILL, 1.5)
    assert sleepers(seconds) == [], "gone before the answer says so"


def test_a_timeout_kills_only_its_own_command(port):
    mine, others = unique_sleep(), unique_sleep()
    with Peer(port) as peer, Peer(port) as other:
        other.ask(f"(setsid sleep {others} &); sleep {others}")
        wait_for_sleepers(others, 2)
        peer.ask(f"(setsid sleep {mine} &); sleep {mine}", timeout=0.5)
        assert peer.answer()[2]["timed_out"]
        assert sleepers(mine) == []
        assert len(sleepers(others)) == 2
    wait_for_sleepers(others, 0)


def test_process_without_mark_or_parent_dies_with_the_server(tmp_path):
    seconds, others = unique_sleep(), unique_sleep()
    with serving("--timeout", "20") as server, Peer(server.port) as peer, Peer(server.port) as other:
        other.ask(f"sleep {others}")
        wait_for_sleepers(others, 1)
        escape = f"env -i setsid sh -c 'echo >{tmp_path}/out; exec sleep {seconds}' >/dev/null 2>&1 &"
        peer.ask(f"({escape}); until test -e {tmp_path}/out; do sleep 0.01; done")
        assert peer.answer()[2]["exit_code"] == 0
        wait_for_sleepers(seconds, 1)  # it may belong to the other command
    assert sleepers(seconds) == []


def test_the_servers_timeout_is_the_maximum():
    with serving("--timeout", "0.5") as server, Peer(server.port) as peer:
        peer.ask("sleep 60", timeout=50)
        ending = peer.answer()[2]
        assert (ending["timed_out"], ending["limit"]) == (True, 0.5)
        peer.ask("echo next")
        assert peer.answer()[0] == b"next\n"


@pytest.mark.parametrize("protocol", ["raw", "length", "header"])
def test_a_tutorial_client_gets_a_timeout_message(protocol):
    with serving("--timeout", "0.5", "--protocol", protocol) as server, Peer(server.port) as peer:
        peer.send(b"echo before; sleep 60")
        wanted = b"before\nlab-command: killed after 0.5 s\n"
        data = b""
        while not data.endswith(wanted):
            part = peer.socket.recv(1024)
            assert part, data
            data += part


def test_a_background_process_does_not_delay_the_answer_and_is_killed(port):
    seconds = unique_sleep()
    with Peer(port) as peer:
        peer.ask(f"echo shell; sleep {seconds} & echo $! >&2")
        stdout, _, ending = peer.answer()
    assert (stdout, ending["exit_code"], ending["timed_out"]) == (b"shell\n", 0, False)
    assert sleepers(seconds) == []


def test_background_writer_ends_with_its_shell(port):
    with Peer(port) as peer:
        peer.ask("yes & sleep 0.1")
        assert peer.answer()[2]["exit_code"] == 0


def test_no_zombies_are_left():
    with serving() as server, Peer(server.port) as peer:
        for _ in range(5):
            peer.ask("(setsid true &) ; sh -c 'true &' ; true")
            assert peer.answer()[2]["exit_code"] == 0
        assert not commands_of(server)


def commands_of(server):
    """The children of the server's supervisor."""
    (supervisor,) = children(server.process.pid)
    return children(supervisor)


@pytest.mark.parametrize(("size", "truncated"), [(99_999, False), (100_000, False), (100_001, True)])
def test_output_is_limited(size, truncated):
    with serving("--max-output", "100000") as server, Peer(server.port) as peer:
        peer.ask(f"head -c {size} /dev/zero; true")
        stdout, _, ending = peer.answer()
        assert len(stdout) == min(size, 100_000)
        assert ending["truncated"] is truncated
        assert ending["stdout_size"] == len(stdout)
        peer.send(framing.encode({"op": "cancel"}))
        peer.ask("echo next")
        assert peer.answer()[0] == b"next\n"


def test_a_command_over_the_output_limit_is_killed():
    seconds = unique_sleep()
    with serving("--max-output", "100000") as server, Peer(server.port) as peer:
        peer.ask(f"setsid sleep {seconds} & yes")
        assert peer.answer()[2]["truncated"]
        assert sleepers(seconds) == []


@pytest.mark.parametrize("protocol", ["raw", "length", "header", "frame"])
def test_memory_is_constant_in_output(protocol):
    with serving("--protocol", protocol) as server:
        before = server.peak_memory()
        options = ("--protocol", protocol)
        done = run(server.port, "head -c 50000000 /dev/zero", options=options)
        assert (done.returncode, len(done.stdout)) == (0, 50_000_000)
        assert server.peak_memory() - before < 10_000_000


def test_the_timeout_applies_to_a_client_that_does_not_read():
    with serving("--timeout", "1") as server, Peer(server.port) as peer:
        before = server.peak_memory()
        peer.ask("while :; do head -c 1000000 /dev/zero; done; : unread")
        wait_until(lambda: not commands_of(server), "the command killed")
        assert server.peak_memory() - before < 10_000_000
        assert peer.answer()[2]["timed_out"]


@pytest.mark.parametrize("protocol", ["raw", "length", "header", "frame"])
def test_one_client_too_many_gets_busy(protocol):
    with serving("--max-clients", "1", "--protocol", protocol) as server:
        with Peer(server.port) as first, Peer(server.port) as second:
            received = second.rest()
            first.send(b"x")
        assert b"busy" in received
        assert received == {
            "raw": received,
            "length": struct.pack("<i", len(received) - 4) + received[4:],
        }.get(protocol, received)
        if protocol in ("header", "frame"):
            assert list(framing.Decoder().feed(received))[0].fields["error"] == "busy"


def test_our_client_reports_busy():
    with serving("--max-clients", "1") as server, Peer(server.port):
        done = run(server.port, "true")
    assert done.returncode == 1
    assert b"too many clients" in done.stderr


# --------------------------------------------------------------------------- clients that leave


def test_silent_command_dies_with_its_client(port):
    seconds = unique_sleep()
    with Peer(port) as peer:
        peer.ask(f"sleep {seconds}")
        wait_for_sleepers(seconds, 1)
    wait_for_sleepers(seconds, 0)


def test_silent_command_dies_when_its_client_resets(port):
    seconds = unique_sleep()
    with Peer(port) as peer:
        peer.ask(f"sleep {seconds}")
        wait_for_sleepers(seconds, 1)
        peer.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    wait_for_sleepers(seconds, 0)


@pytest.mark.parametrize("request_", [b"sleep {}", b"frame"])
def test_silent_command_dies_when_its_client_half_closes(port, request_):
    seconds = unique_sleep()
    with Peer(port) as peer:
        if request_ == b"frame":
            peer.ask(f"sleep {seconds}")
        else:
            peer.send(f"sleep {seconds}".encode())
        wait_for_sleepers(seconds, 1)
        peer.socket.shutdown(socket.SHUT_WR)
        wait_for_sleepers(seconds, 0)


def test_a_client_that_half_closes_early_gets_its_answer(port):
    with Peer(port) as peer:
        peer.send(b"echo quick")
        peer.socket.shutdown(socket.SHUT_WR)
        assert peer.rest().endswith(b"quick\n")


def test_cancel_interrupts_and_the_session_goes_on(port):
    seconds = unique_sleep()
    with Peer(port) as peer:
        peer.ask(f"sleep {seconds}")
        wait_for_sleepers(seconds, 1)
        peer.send(framing.encode({"op": "cancel"}))
        ending = peer.answer()[2]
        assert (ending["cancelled"], ending["signal"]) == (True, signal.SIGINT)
        peer.ask("echo next")
        assert peer.answer()[0] == b"next\n"


def test_cancel_kills_a_command_that_ignores_the_interrupt(port):
    seconds = unique_sleep()
    with Peer(port) as peer:
        peer.ask(f"trap '' INT; sleep {seconds}")
        wait_for_sleepers(seconds, 1)
        peer.send(framing.encode({"op": "cancel"}))
        ending = peer.answer()[2]
        assert (ending["cancelled"], ending["signal"], ending["timed_out"]) == (True, signal.SIGKILL, False)
        assert sleepers(seconds) == []


# --------------------------------------------------------------------------- start and stop


def test_running_command_finishes_when_the_server_stops():
    seconds = unique_sleep()
    with serving("--grace", "25") as server, Peer(server.port) as peer, Peer(server.port) as idle:
        peer.ask(f"trap 'echo whole; exit 5' USR1; sleep {seconds} & echo $$; wait")
        pid = int(peer.frame()[1])
        server.process.send_signal(signal.SIGTERM)
        assert idle.rest() == b"", "an idle client is closed"
        os.kill(pid, signal.SIGUSR1)
        stdout, _, ending = peer.answer()
        assert (stdout, ending["exit_code"]) == (b"whole\n", 5)
        assert peer.frame() is None
        assert server.wait() == 0
    assert sleepers(seconds) == []


def test_command_that_does_not_finish_is_killed_when_the_server_stops():
    seconds = unique_sleep()
    with serving("--grace", "0.3") as server, Peer(server.port) as peer:
        peer.ask(f"(setsid sleep {seconds} &); sleep {seconds}")
        wait_for_sleepers(seconds, 2)
        assert server.stop() == 0
        assert sleepers(seconds) == []


@pytest.mark.parametrize(
    "escape",
    [
        "setsid sleep {} &",
        "(setsid sleep {} &);",  # a daemon
        "(env -i setsid sleep {} >/dev/null 2>&1 </dev/null &);",  # a daemon without mark and pipes
        "(trap '' TERM HUP; setsid sleep {} &);",
    ],
)
@pytest.mark.parametrize("victim", ["server", "supervisor"])
def test_commands_die_with_a_server_that_is_killed(escape, victim):
    seconds = unique_sleep()
    with serving() as server, Peer(server.port) as peer:
        (supervisor,) = children(server.process.pid)
        peer.ask(f"{escape.format(seconds)} sleep {seconds}")
        wait_for_sleepers(seconds, 2)
        os.kill(server.process.pid if victim == "server" else supervisor, signal.SIGKILL)
        if victim == "supervisor":
            peer.socket.close()
            assert server.stop() == 0
        else:
            assert server.wait() == -signal.SIGKILL
        wait_for_sleepers(seconds, 0)
        wait_until(lambda: not Path(f"/proc/{supervisor}").exists(), "the supervisor has ended")


def test_json_events_show_the_commands():
    with serving() as server, Peer(server.port) as peer:
        peer.ask("exit 3")
        peer.answer()
        event = json.loads(server.line())
        assert (event["event"], event["command"], event["exit_code"]) == ("command", "exit 3", 3)


@pytest.mark.parametrize(
    ("options", "code"),
    [
        (("--host", "192.0.2.1"), 3),
        (("--shell", "/nonexistent/shell"), 3),
        (("--host", "name.invalid"), 3),
        (("--port", "65536"), 2),
        (("--max-output", "0"), 2),
        (("--max-output", "2147483648", "--protocol", "length"), 2),
        (("--encoding", "idna"), 2),
    ],
)
def test_a_server_that_cannot_start_exits_with_one_line(options, code):
    done = lab_command("serve", *(("--port", "0") if "--port" not in options else ()), *options)
    assert done.returncode == code
    assert len(done.stderr.splitlines()) == 1
    assert done.stdout == b""


def test_address_in_use():
    with serving() as server:
        done = lab_command("serve", "--host", "127.0.0.1", "--port", str(server.port))
    assert done.returncode == 3
    assert b"in use" in done.stderr
