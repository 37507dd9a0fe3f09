"""`lab capture` in a pipe."""

import signal

import pytest


@pytest.mark.lab
def test_a_reader_that_closes_the_pipe_ends_the_capture(lab_process, shared_lab):
    with lab_process("capture", "client", "icmp") as process:
        assert process.stderr.readline().startswith(b"capturing on ")
        shared_lab.client.run("ping -c 1 server", check=True)
        assert b"ICMP echo request" in process.stdout.readline()
        process.stdout.close()
        shared_lab.client.run("ping -c 1 server", check=True)
        assert process.wait(20) == 128 + signal.SIGPIPE
        assert process.stderr.read() == b""
