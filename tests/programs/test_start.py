"""The start of lab-echo, lab-udp, lab-command and lab-transfer, as in the image."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("name", ["echo", "udp", "command", "transfer"])
def test_a_learners_file_does_not_shadow_the_standard_library(tmp_path, name):
    (tmp_path / "json.py").write_text("raise SystemExit('shadowed')\n")
    program = tmp_path / f"lab-{name}"
    program.symlink_to(ROOT / "images" / "host" / "program")
    environment = {
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "PYTHONPATH": str(ROOT),
        "LANG": "C.UTF-8",
    }
    done = subprocess.run(
        ["sh", program, "--help"], cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(f"usage: lab-{name}")


def imported(*words):
    """The modules that a program imports: the one named, with its arguments."""
    argv = [sys.executable, "-X", "importtime", "-P", "-m", *words]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        argv, env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=20
    )
    lines = [line for line in done.stderr.splitlines() if line.startswith("import time:")]
    return {line.rpartition("|")[2].strip() for line in lines}


NOWHERE = ["--port", "1", "127.0.0.1"]  # nobody listens there
OTHERS = ["--host", "203.0.113.1"]  # an address for documentation: the server can't bind it, and exits


@pytest.mark.parametrize(
    ("words", "present", "absent"),
    [
        (["echo", "--help"], [], ["asyncio", "lab.sockets.threaded", "lab.programs.echo_send"]),
        (["echo", "serve", *OTHERS], ["lab.sockets.blocking"], ["asyncio", "lab.programs.echo_send"]),
        (["echo", "serve", "--io", "threaded", *OTHERS], ["lab.sockets.threaded"], ["asyncio"]),
        (["echo", "serve", "--io", "async", *OTHERS], ["asyncio", "lab.sockets.aio"],
         ["lab.sockets.threaded"]),
        (["echo", "send", *NOWHERE], ["lab.programs.echo_send"], ["asyncio", "lab.programs.load_generator"]),
        (["echo", "send", "--connections", "1", *NOWHERE], ["asyncio", "lab.programs.load_generator"], []),
        (["udp", "--help"], [], ["asyncio", "subprocess"]),
        (["command", "run", *NOWHERE, "true"], ["lab.programs.command.run"],
         ["asyncio", "lab.programs.command.serve", "subprocess", "ctypes"]),
        (["command", "serve", *OTHERS], ["lab.programs.command.serve"],
         ["asyncio", "lab.programs.command.run"]),
        (["transfer", "list", *NOWHERE], ["lab.programs.transfer.client"],
         ["asyncio", "lab.programs.transfer.serve"]),
        (["transfer", "serve", *OTHERS], ["lab.programs.transfer.serve"], ["asyncio"]),
    ],
)  # fmt: skip
def test_a_program_imports_only_what_it_runs(words, present, absent):
    name, *arguments = words
    modules = imported(f"lab.programs.{name}", *arguments)
    assert modules & {*present, *absent} == {*present}
