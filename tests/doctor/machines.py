"""Machines with problems: `lab doctor` runs in namespaces of its own, in which the problem is real."""

import json
import os
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def doctor(*words, before="true", unshare=(), as_user="", **environment):
    """The findings of `lab doctor` by check, its exit code and its standard error.

    ``before`` is a shell command that makes the trouble, in new namespaces as the options ``unshare`` say.
    ``as_user``: options of setpriv for another user.
    """
    lab = [sys.executable, "-B", "-m", "lab", "doctor", "--json", *words]
    argv = ["/bin/sh", "-c", f"set -e; {before}; exec {shlex.join(lab)}"]
    if as_user:
        argv = ["setpriv", *as_user.split(), "--clear-groups", "--", *lab]
    if unshare:
        argv = ["/usr/bin/unshare", "--user", "--map-root-user", *unshare, "--", *argv]
    done = subprocess.run(
        argv,
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": str(ROOT)} | environment,
        capture_output=True,
        text=True,
    )
    assert "Traceback" not in done.stderr
    return Examined(done)


class Examined:
    """The result of `lab doctor`."""

    def __init__(self, done):
        if not done.stdout:
            pytest.fail(f"exit code {done.returncode}: {done.stderr}")
        self.exit_code = done.returncode
        self.report = json.loads(done.stdout)

    def __getitem__(self, check):
        return [each for each in self.report["findings"] if each["check"] == check]

    def only(self, check):
        """The level, the text and the remedy of the only finding of a check."""
        found = self[check]
        assert len(found) == 1, found
        return found[0]["level"], found[0]["text"], found[0]["remedy"]
