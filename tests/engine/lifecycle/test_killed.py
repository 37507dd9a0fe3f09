"""SIGKILL at a random moment of `lab up` or `lab run`: after `lab gc` nothing is left."""

import os
import random
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import pytest

from lab.engine.client import PROJECT_LABEL, Engine
from lab.engine.http.resources import of_label
from lab.engine.lifecycle.cleanup import take_down

pytestmark = pytest.mark.lab

ROOT = Path(__file__).parents[3]


@pytest.mark.parametrize("point", range(3))
@pytest.mark.parametrize("words", [("up", "-q"), ("run", "tcp-hello")], ids=" ".join)
def test_after_sigkill_gc_leaves_nothing(words, point, tmp_path):
    project = f"socketlab-killed-{os.getpid()}"
    seconds = random.uniform(0.1, 0.9)
    runs = ("--runs", str(tmp_path)) if "run" in words else ()
    try:
        process = lab(*words, "-p", project, *runs)
        with suppress(subprocess.TimeoutExpired):
            process.communicate(timeout=seconds)
            take_down(project)  # a fast machine: the lab was complete, and `lab up` leaves it
        process.kill()
        process.communicate(timeout=30)
        collected = lab("gc")
        assert collected.wait(60) == 0
        assert left_of(project) == [], f"killed after {seconds:.3f} s"
    finally:
        take_down(project)


def lab(*words):
    argv = [sys.executable, "-m", "lab", *words]
    return subprocess.Popen(argv, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def left_of(project):
    """Its resources, once the engine has carried out the last request of the killed process."""
    deadline = time.monotonic() + 20
    with Engine() as engine:
        while found := of_label(engine.api, f"{PROJECT_LABEL}={project}"):
            if time.monotonic() > deadline:
                break
            assert lab("gc").wait(60) == 0
    return [each.name for each in found]
