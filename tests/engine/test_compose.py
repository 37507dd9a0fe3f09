"""Compose as a process: its output is reported as it comes, and it is gone when the call returns."""

import os
import signal
import sys
import threading
import time

import pytest

from lab.engine.compose import PrefixTaken, run_compose
from lab.errors import EnvironmentFailure

WAITS = "import sys, time; print('ready', flush=True); time.sleep(60)"


def run(program, **options):
    """Runs a Python program in the place of Compose. Returns the lines that it reports."""
    lines = []
    run_compose(
        [sys.executable, "-c", program], os.environ, **{"timeout": 30, "report": lines.append} | options
    )
    return lines


def test_each_line_of_both_streams_is_reported():
    assert run("import sys; print('one', flush=True); print('two', file=sys.stderr)") == ["one", "two"]


def test_a_line_is_reported_before_the_process_ends():
    def report(line):
        raise RuntimeError(line)

    started = time.monotonic()
    with pytest.raises(RuntimeError, match="ready"):
        run(WAITS, report=report)
    assert time.monotonic() - started < 20


def test_the_text_is_its_standard_input_even_if_it_is_long():
    assert run("import sys; print(len(sys.stdin.read()))", text="x" * 1_000_000) == ["1000000"]
    assert run("print('not read')", text="x" * 1_000_000) == ["not read"]


def test_a_failure_has_the_last_lines():
    with pytest.raises(EnvironmentFailure) as caught:
        run("import sys; [print(n) for n in range(40)]; sys.exit(1)")
    assert str(caught.value).splitlines() == [str(n) for n in range(25, 40)]
    with pytest.raises(EnvironmentFailure, match="exit code 7"):
        run("import sys; sys.exit(7)")


def test_a_failure_has_no_lines_of_progress():
    lines = [" Network shop_lan  Creating", " Container shop-web-1  Started", "no such container"]
    with pytest.raises(EnvironmentFailure, match="^no such container$"):
        run(f"import sys; print(*{lines}, sep=chr(10)); sys.exit(1)")


@pytest.mark.parametrize(
    "line",
    [
        "Error response from daemon: Pool overlaps with other one on this address space",
        "invalid pool request: Pool overlaps with other one on this address space",
        "cannot create network a (br-1): conflicts with network b (br-2): networks have overlapping IPv4",
    ],
)
def test_a_refused_prefix_is_an_error_of_its_own(line):
    with pytest.raises(PrefixTaken, match="overlap"):
        run(f"import sys; print({line!r}); print('more'); sys.exit(1)")


def test_at_the_deadline_it_is_ended():
    with pytest.raises(EnvironmentFailure, match=r"didn't finish within 0\.5 s"):
        run(WAITS, timeout=0.5)


def test_a_missing_program_is_reported(monkeypatch):
    monkeypatch.setattr("shutil.which", lambda name: None)
    with pytest.raises(EnvironmentFailure, match="docker is not installed"):
        run_compose(["/no/such/docker"], {}, timeout=5)


def test_ctrl_c_ends_it_before_the_call_returns(tmp_path):
    gone = tmp_path / "gone"
    program = f"""
import pathlib, signal, sys, time
def end(*_):
    time.sleep(0.3)  # as Compose, which first cleans up
    pathlib.Path({str(gone)!r}).touch()
    sys.exit()
signal.signal(signal.SIGTERM, end)
print("ready", flush=True)
time.sleep(60)
"""
    main = threading.main_thread().ident

    def interrupt(_):
        signal.pthread_kill(main, signal.SIGINT)

    with pytest.raises(KeyboardInterrupt):
        run(program, report=interrupt)
    assert gone.exists()
