"""`lab` as a process of its own, on the session's lab."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]


@pytest.fixture(scope="session")
def lab_process(lab_topology):
    """Starts `lab COMMAND -p PROJECT WORDS`; ``options`` are those of Popen."""

    def start(command, *words, **options):
        argv = [sys.executable, "-m", "lab", command, "-p", lab_topology.project, *words]
        pipe = subprocess.PIPE
        settings = {"stdin": pipe, "stdout": pipe, "stderr": pipe, "cwd": ROOT, "env": ENVIRONMENT}
        return subprocess.Popen(argv, **(settings | options))

    return start


@pytest.fixture(scope="session")
def lab_run(lab_process):
    """Runs the same command to its end: its exit code, output and errors, as bytes."""

    def run(command, *words, stdin=b"", **options):
        with lab_process(command, *words, **options) as process:
            try:
                out, errors = process.communicate(stdin, timeout=60)
            except subprocess.TimeoutExpired:
                process.kill()
                raise
        return process.returncode, out, errors

    return run


ENVIRONMENT = {name: value for name, value in os.environ.items() if name != "COMPOSE_PROJECT_NAME"}
