"""Shell completion, as the shells call it."""

import os
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
NOWHERE = "unix:///nowhere.sock"
DESCRIPTION = """
name = "own-lab"
[segments]
office = {}
servers = {}
[hosts.alice]
segment = "office"
[hosts.web]
segment = "servers"
"""


@pytest.fixture
def bash(tmp_path):
    """A bash in a folder with a lab.toml and without an engine, in which `lab` is installed."""
    program = tmp_path / "bin" / "lab"
    program.parent.mkdir()
    program.write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} -m lab "$@"\n')
    program.chmod(0o755)
    (tmp_path / "lab.toml").write_text(DESCRIPTION)
    path = f"{program.parent}:{os.environ['PATH']}"
    environment = {**os.environ, "PATH": path, "PYTHONPATH": str(ROOT), "DOCKER_HOST": NOWHERE, "LANG": "C"}

    def run(script, shell="bash"):
        done = subprocess.run(
            [shell, "-c", script], cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=60
        )
        assert done.stderr == ""
        return done.stdout

    return run


@pytest.fixture
def complete(bash):
    def words(line):
        """The words that bash offers at the end of the line."""
        typed = [*shlex.split(line), *([""] if line.endswith(" ") else [])]
        script = f"""
            eval "$(lab --show-completion)"
            COMP_WORDS=({shlex.join(typed)}) COMP_CWORD={len(typed) - 1}
            $(complete -p lab | sed 's/.*-F \\([^ ]*\\).*/\\1/') lab
            printf '%s\\n' "${{COMPREPLY[@]}}"
        """
        return bash(script).split()

    return words


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("lab sta", ["status"]),
        ("lab link cl", ["clear"]),
        ("lab up --pro", ["--project", "--profile"]),
        ("lab shell ", ["alice", "web", "router"]),
        ("lab exec w", ["web"]),
        ("lab cp ./x al", ["alice:"]),
        ("lab forward we", ["web:"]),
        ("lab run tcp-hel", ["tcp-hello"]),
        ("lab explain tcp-hello udp-ec", ["udp-echo"]),
        ("lab up -f st", ["star"]),
        ("lab capture web --segment o", ["office"]),
        ("lab link partition to-", ["to-office", "to-servers"]),
        ("lab list --lang ", ["en", "zh"]),
        ("lab shell -p ", []),
        ("lab shell -f nothing ", []),
    ],
)
def test_bash_completes(complete, line, words):
    assert complete(line) == words


@pytest.mark.parametrize("shell", ["zsh", "fish"])
def test_other_shells_accept_their_script(bash, shell):
    if shutil.which(shell) is None:
        pytest.skip(f"{shell} isn't installed")
    assert "lab" in bash("lab --show-completion > script && . ./script; cat script", shell)


@pytest.mark.lab
def test_the_hosts_of_the_lab_that_is_up_are_completed(complete, bash, lab_topology, monkeypatch):
    name = lab_topology.project
    script = (
        f"env -u DOCKER_HOST COMP_WORDS='lab shell -p {name} cl' COMP_CWORD=4 _LAB_COMPLETE=complete_bash lab"
    )
    assert bash(script).split() == ["client"]
    script = (
        f"env -u DOCKER_HOST COMP_WORDS='lab shell -p {name}' COMP_CWORD=3 _LAB_COMPLETE=complete_bash lab"
    )
    assert name in bash(script).split()
