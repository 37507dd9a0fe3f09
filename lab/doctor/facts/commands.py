"""Runs the command-line tools that report facts about this machine."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass

TIMEOUT = 20.0  # seconds for one command
SYSTEM_FOLDERS = "/usr/sbin:/sbin:/usr/local/sbin"  # not on every user's PATH


@dataclass(frozen=True)
class Output:
    """The output of a command that has ended. ``code`` is its exit code; None if it couldn't be run."""

    code: int | None
    stdout: str = ""
    stderr: str = ""


def run(argv: Sequence[str]) -> Output:
    """Runs a command with a time limit. A command that is missing or hangs has no exit code."""
    program = find(argv[0])
    if program is None:
        return Output(None)
    try:
        done = subprocess.run(
            [program, *argv[1:]], stdin=subprocess.DEVNULL, capture_output=True, timeout=TIMEOUT
        )
    except (OSError, subprocess.SubprocessError) as error:
        return Output(None, stderr=str(error))
    return Output(done.returncode, done.stdout.decode(errors="replace"), done.stderr.decode(errors="replace"))


def find(name: str) -> str | None:
    """The path of a command, also in the folders for root; None if it isn't installed."""
    return shutil.which(name, path=os.pathsep.join([os.environ.get("PATH", os.defpath), SYSTEM_FOLDERS]))
