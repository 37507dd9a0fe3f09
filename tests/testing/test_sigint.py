"""Tests can interrupt their child processes, even if the session was started with SIGINT ignored."""

import signal
import subprocess
import sys

import pytest


def test_a_child_process_can_be_interrupted():
    with subprocess.Popen(["sleep", "60"]) as child:
        child.send_signal(signal.SIGINT)
        try:
            assert child.wait(10) == -signal.SIGINT
        finally:
            child.kill()


@pytest.mark.parametrize("workers", ["0", "1"])
def test_a_session_in_the_background_of_a_script_gives_sigint_its_handler_back(workers):
    test = f"{__file__}::{test_a_child_process_can_be_interrupted.__name__}"
    argv = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-n", workers, test]
    script = ["sh", "-c", 'trap "" INT; exec "$@"', "sh", *argv]
    done = subprocess.run(script, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60)
    assert "1 passed" in done.stdout, done.stdout + done.stderr
