"""Commands, programs, files and power on real hosts."""

import os
import time

import pytest

from lab.control.program import CommandFailed, CommandTimeout
from lab.control.transport import from_engine
from lab.errors import EnvironmentFailure, HostTimeout, UsageError
from lab.evidence.event_text import render

pytestmark = pytest.mark.lab


def test_stdout_stderr_and_exit_code_are_kept_apart(shared_lab):
    result = shared_lab.client.run("echo 出; echo err >&2; exit 7")
    assert (result.stdout, result.stderr, result.exit_code, result.signal) == ("出\n", "err\n", 7, None)


def test_a_sequence_of_arguments_is_not_split_again(shared_lab):
    assert shared_lab.client.run(["printf", "%s|", "a b", "$HOME", "'"]).stdout == "a b|$HOME|'|"


def test_stdin_reaches_the_command_and_ends(shared_lab):
    assert shared_lab.client.run("tr a-z A-Z", stdin="hello").stdout == "HELLO"


def test_the_signal_that_ended_a_command_is_reported(shared_lab):
    result = shared_lab.client.run("kill -SEGV $$")
    assert (result.signal, result.exit_code) == ("SEGV", None)


def test_much_output_on_both_streams_does_not_deadlock(shared_lab):
    size = 8 << 20  # past paramiko's window of 2 MiB
    command = f"head -c {size} /dev/zero & head -c {size} /dev/zero >&2; wait"
    result = shared_lab.client.run(command, timeout=60)
    assert (len(result.output), len(result.errors), result.exit_code) == (size, size, 0)


def test_the_deadline_kills_the_whole_process_group(shared_lab):
    with pytest.raises(CommandTimeout, match=r"killed after 0.3 s") as caught:
        shared_lab.client.run("echo before; sleep 4711 | cat", timeout=0.3)
    assert caught.value.result.stdout == "before\n"
    assert caught.value.result.signal == "KILL"
    assert shared_lab.client.run("pgrep -fx 'sleep 4711'").exit_code == 1


def test_check_shows_the_output_of_a_failed_command(shared_lab):
    with pytest.raises(CommandFailed, match=r"(?s)kali\$ .*exit code 3.*stderr: reason"):
        shared_lab.client.run("echo reason >&2; exit 3", check=True)


def test_start_waits_for_the_announcement_and_stops_the_program(shared_lab):
    with shared_lab.server.start("sh -c 'echo listening on 4; exec sleep 4712'") as program:
        assert program.lines == ["listening on 4"]
        assert shared_lab.server.run("pgrep -fx 'sleep 4712'").ok
    assert program.result.signal == "TERM"
    assert shared_lab.server.run("pgrep -fx 'sleep 4712'").exit_code == 1


def test_a_program_that_ignores_sigterm_is_killed(shared_lab):
    with shared_lab.server.start("trap '' TERM; echo listening on; while :; do sleep 0.1; done") as program:
        result = program.stop(timeout=0.5)
    assert result.signal == "KILL"


def test_a_program_that_ends_before_it_announces_shows_its_output(shared_lab):
    with (
        pytest.raises(CommandFailed, match=r"(?s)ended without printing.*stderr: no such luck"),
        shared_lab.server.start("echo no such luck >&2; exit 1"),
    ):
        pytest.fail("it never announced itself")


def test_a_silent_program_exceeds_the_deadline(shared_lab):
    with (
        pytest.raises(CommandTimeout, match=r"neither printed .* within 0.3 s"),
        shared_lab.server.start("exec sleep 4713", timeout=0.3),
    ):
        pytest.fail("it never announced itself")
    assert shared_lab.server.run("pgrep -fx 'sleep 4713'").exit_code == 1


def test_a_program_is_stopped_when_the_scenario_fails(shared_lab):
    def scenario():
        with shared_lab.server.start("sh -c 'echo listening on; exec sleep 4714'"):
            raise RuntimeError("the scenario")

    with pytest.raises(RuntimeError, match="the scenario"):
        scenario()
    assert shared_lab.server.run("pgrep -fx 'sleep 4714'").exit_code == 1


def test_a_program_receives_input(shared_lab):
    with shared_lab.client.start("cat", announce="") as program:
        program.send("你好\n")
        assert program.wait_for_line("你好") == "你好"
        program.close_stdin()
        assert program.wait(10).exit_code == 0


def test_too_much_output_is_stopped_before_it_fills_the_memory(shared_lab, monkeypatch):
    monkeypatch.setattr("lab.control.program.MAX_OUTPUT", 1 << 20)
    with pytest.raises(CommandFailed, match="more than 1 MiB of output"):
        shared_lab.client.run("yes")


@pytest.mark.parametrize("size", [0, 1, 3_000_000])
def test_files_are_transferred_unchanged(shared_lab, size, tmp_path):
    content = os.urandom(size)
    shared_lab.client.put(content, "/tmp/一 file")
    assert shared_lab.client.get("/tmp/一 file") == content
    local = tmp_path / "local"
    local.write_bytes(content)
    shared_lab.client.put(local, "/tmp/一 file")
    assert shared_lab.client.run(["sha256sum", "/tmp/一 file"]).ok
    assert shared_lab.client.get("/tmp/一 file") == content
    assert shared_lab.client.run("ls /tmp | grep part").exit_code == 1


def test_a_missing_file_is_named(shared_lab):
    with pytest.raises(EnvironmentFailure, match="No such file"):
        shared_lab.client.get("/nowhere")


def test_an_unknown_node_is_refused_with_the_known_ones(shared_lab):
    with pytest.raises(UsageError, match=r"no node 'serve'; there are client, kali, router, server, win10"):
        shared_lab["serve"]


def test_events_have_node_and_output_in_order(lab_topology):
    events = []
    with from_engine(lab_topology.project, events.append) as lab:
        lab.client.run("echo one; echo two")
    assert [(e.node, e.kind, render(e)) for e in events] == [
        ("kali", "start", "echo one; echo two"),
        ("kali", "output", "one"),
        ("kali", "output", "two"),
        ("kali", "exit", "exit code 0"),
    ]
    assert [e.at for e in events] == sorted(e.at for e in events)
    assert abs(events[0].at - time.time()) < 60


def test_a_program_s_start_comes_before_its_output(lab_topology):
    events = []
    with from_engine(lab_topology.project, events.append) as lab:
        for _ in range(20):
            lab.client.run("date +%s.%N")
    starts = [event.at for event in events if event.kind == "start"]
    done = [float(event.line) for event in events if event.kind == "output"]  # the host's clock is ours
    assert len(starts) == len(done) == 20
    assert [start < at for start, at in zip(starts, done, strict=True)] == [True] * 20


def test_a_power_cut_ends_everything_and_the_host_comes_back(shared_lab):
    with shared_lab.client.start("sh -c 'echo listening on; exec sleep 4715'") as program:
        shared_lab.client.power_off()
        assert program.result.exit_code is None
    try:
        with pytest.raises((EnvironmentFailure, HostTimeout)):
            shared_lab.client.run("true")
    finally:
        shared_lab.client.power_on()
    assert shared_lab.client.run("ip route get 172.28.0.1 >/dev/null; pgrep -fx 'sleep 4715'").exit_code == 1
    assert shared_lab.client.run("ping -c1 -W2 server").ok


def test_a_paused_host_answers_nothing_until_it_is_resumed(shared_lab):
    with shared_lab.server.paused(), pytest.raises(HostTimeout):
        shared_lab.server.run("true", timeout=0.5)
    assert shared_lab.server.run("echo back").stdout == "back\n"


@pytest.mark.parametrize(
    ("path", "reason"),
    [("/nosuch", "No such file"), ("/root/x", "Permission denied"), ("/nosuch/x", "No such file")],
)
def test_a_file_that_cannot_be_read_or_written_is_named(shared_lab, path, reason):
    with pytest.raises(EnvironmentFailure, match=f"^client: {path}: {reason}$"):
        shared_lab.client.get(path)
    if path.count("/") > 1:
        with pytest.raises(EnvironmentFailure, match=f"^client: {path}: {reason}$"):
            shared_lab.client.put("x", path)
