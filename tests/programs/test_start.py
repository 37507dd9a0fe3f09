"""A program's start: what it imports before its arguments are read."""

import subprocess
import sys

import pytest


@pytest.mark.parametrize("program", ["echo", "udp", "command", "transfer"])
def test_a_program_starts_without_asyncio(program):
    code = f"import sys, lab.programs.{program}; print('asyncio' in sys.modules, 'ssl' in sys.modules)"
    argv = [sys.executable, "-S", "-c", code]
    assert subprocess.run(argv, capture_output=True, text=True, check=True).stdout == "False False\n"
