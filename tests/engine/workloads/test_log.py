"""The output of a container: both streams, each line with its time, from any position on."""

import threading
import time

import pytest

pytestmark = pytest.mark.lab

DEBIAN = "debian:trixie-slim"


def test_lines_have_their_stream_and_their_time(start):
    before = time.time()
    workload = start(DEBIAN, "sh", "-c", "echo one; echo two >&2; printf three")
    workload.container.wait()
    entries = list(workload.log(0))
    assert sorted((entry.stream, entry.data) for entry in entries) == [
        ("stderr", b"two\n"),
        ("stdout", b"one\n"),
        ("stdout", b"three"),
    ]
    assert all(before - 1 < entry.at < time.time() for entry in entries)
    assert workload.last_lines(2) == [entry.data.decode().strip() for entry in entries[-2:]]


def test_a_position_separates_earlier_output_from_later(start):
    workload = start(DEBIAN, "sh", "-c", "mkfifo /pipe && exec cat <>/pipe")
    assert workload.position() == (0, 0)
    say(workload, "first")
    wait_for(lambda: workload.position()[0])
    log = workload.log(workload.position()[0], follow=True)
    say(workload, "second")
    assert next(iter(log)).data == b"second\n"
    log.close()


def say(workload, word):
    """Lets the container print a word."""
    session = workload.execute(["sh", "-c", f"echo {word} >/pipe"])
    session.pump(lambda stream, data: None, time.monotonic() + 10)
    session.close()


def test_a_long_line_is_whole_though_the_engine_splits_it(start):
    workload = start(DEBIAN, "sh", "-c", "head -c 40000 /dev/zero | tr '\\0' x; echo")
    workload.container.wait()
    entries = list(workload.log(0))
    assert b"".join(entry.data for entry in entries) == b"x" * 40000 + b"\n"
    assert workload.position() == (entries[0].position, len(entries))


def test_a_log_that_is_followed_ends_with_the_container(start):
    workload = start(DEBIAN, "sh", "-c", "echo one; sleep 0.3; echo two")
    assert [entry.data for entry in workload.log(0, follow=True)] == [b"one\n", b"two\n"]
    assert not workload.state().running


def test_closing_ends_a_log_that_another_thread_follows(start):
    log = start(DEBIAN, "sleep", "1000").log(0, follow=True)
    reader = threading.Thread(target=lambda: list(log))
    reader.start()
    log.close()
    reader.join(5)
    assert not reader.is_alive()


def test_the_output_of_a_container_with_a_terminal(start):
    workload = start(DEBIAN, "sh", "-c", "echo one; echo two >&2", tty=True)
    workload.container.wait()
    assert [(entry.stream, entry.data) for entry in workload.log(0)] == [
        ("stdout", b"one\r\n"),
        ("stdout", b"two\r\n"),
    ]


def wait_for(condition, timeout=10.0):
    until = time.monotonic() + timeout
    while not condition():
        assert time.monotonic() < until
        time.sleep(0.01)
