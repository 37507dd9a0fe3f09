"""Commands in a container: their streams, their exit, and how they are killed."""

import time

import pytest

from lab.errors import EnvironmentFailure

pytestmark = pytest.mark.lab

DEBIAN = "debian:trixie-slim"
SLEEP = ["sleep", "1000"]
TIMEOUT = 20.0


def finished(session, stdin=b""):
    output = {"stdout": b"", "stderr": b""}

    def add(stream, data):
        output[stream] += data

    session.send(stdin)
    session.close_stdin()
    try:
        assert session.pump(add, time.monotonic() + TIMEOUT)
    finally:
        session.close()
    return output["stdout"], output["stderr"]


def test_streams_are_apart_and_the_exit_code_is_known(start):
    session = start(DEBIAN, *SLEEP).execute(["sh", "-c", "echo out; echo err >&2; exit 3"])
    assert finished(session) == (b"out\n", b"err\n")
    assert (session.exit_code, session.exit_signal) == (3, None)


def test_input_larger_than_all_buffers_is_passed_on(start, scratch_image):
    data = bytes(range(256)) * (8 << 12)  # 8 MiB
    session = start(scratch_image, "sleep").execute(["/hello", "echo"])
    assert finished(session, data) == (data, b"")
    assert session.exit_code == 0


def test_an_end_by_a_signal_is_distinguished_from_an_exit_code(start):
    workload = start(DEBIAN, *SLEEP)
    killed = workload.execute(["sh", "-c", "kill -SEGV $$"])
    finished(killed)
    assert (killed.exit_code, killed.exit_signal) == (None, "SEGV")


def test_a_program_that_the_image_lacks_is_reported_as_an_error(start, scratch_image):
    session = start(scratch_image, "sleep").execute(["/bin/sh", "-c", "true"])
    stdout, stderr = finished(session)
    assert stdout == b""
    assert b"no such file or directory" in stderr
    assert session.exit_code in (126, 127)
    assert "/bin/sh" in session.refused


@pytest.mark.parametrize("argv", [["sleep", "1000"], ["sh", "-c", "setsid sleep 1000 & sleep 1000"]])
def test_a_signal_ends_a_command_with_all_that_it_started(start, argv):
    workload = start(DEBIAN, *SLEEP)
    before = workload.container.top()["Processes"]
    session = workload.execute(argv)
    assert not session.pump(lambda stream, data: None, time.monotonic() + 0.3)
    session.send_signal("KILL")
    finished(session)
    assert session.exit_signal == "KILL"
    assert len(workload.container.top()["Processes"]) == len(before)


def test_a_command_in_an_image_without_a_shell_is_killed_too(start, scratch_image):
    workload = start(scratch_image, "sleep")
    session, other = workload.execute(["/hello", "sleep"]), workload.execute(["/hello", "sleep"])
    session.send_signal("KILL")
    finished(session)
    assert session.exit_signal == "KILL"
    assert not other.pump(lambda stream, data: None, time.monotonic() + 0.1)
    other.close()
    assert workload.state().running


def test_no_command_runs_in_a_container_that_has_ended(start):
    workload = start(DEBIAN, "false")
    workload.container.wait()
    with pytest.raises(EnvironmentFailure, match="web-workload: the container isn't running: exited"):
        workload.execute(["true"])
