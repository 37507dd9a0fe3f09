"""The command line: one clear line and an exit code for whatever is wrong."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from lab.control import scenarios
from lab.control.cli import app

ROOT = Path(__file__).parents[2]
FAILING = '''"""It fails.

Always.
"""
def run(lab): return {"a": 1}
def check(record): assert record["a"] == 2
'''


@pytest.fixture
def lab_cli(monkeypatch):
    monkeypatch.delenv("COMPOSE_PROJECT_NAME", raising=False)
    return lambda *words: CliRunner().invoke(app, words)


def test_list_shows_every_scenario_without_an_engine(lab_cli, monkeypatch):
    monkeypatch.setenv("DOCKER_HOST", "unix:///nowhere.sock")
    result = lab_cli("list")
    assert result.exit_code == 0
    assert all(name in result.stdout for name in scenarios.names())


def test_an_unknown_scenario_lists_the_known_ones(lab_cli):
    result = lab_cli("run", "tcp-hallo")
    assert result.exit_code == 2
    assert "did you mean tcp-hello?" in result.stderr
    assert "udp-echo" in result.stderr


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["up", "-p", "Not A Name"], "no project name"),
        (["up", "--servers-prefix", "8.8.8"], "public address range"),
        (["run"], "Missing argument"),
        (["dance"], "No such command"),
    ],
)
def test_wrong_use_is_told_and_exits_with_2(lab_cli, words, said):
    result = lab_cli(*words)
    assert result.exit_code == 2
    assert said in result.stderr
    assert "Traceback" not in result.stderr


@pytest.mark.parametrize("words", [["up"], ["down"], ["status"], ["run", "tcp-hello"], ["shell"]])
def test_without_an_engine_each_says_so_and_exits_with_3(words):
    """As a process: the Docker SDK leaves a socket open that couldn't connect."""
    done = subprocess.run(
        [sys.executable, "-m", "lab", *words],
        cwd=ROOT,
        env={**os.environ, "DOCKER_HOST": "unix:///nowhere.sock"},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert (done.returncode, done.stdout) == (3, "")
    assert done.stderr.startswith("lab: no Docker Engine answers")
    assert len(done.stderr.splitlines()) == 1


@pytest.mark.lab
def test_a_lab_that_is_not_up_is_told_with_how_to_start_it(lab_cli):
    result = lab_cli("status", "-p", "nobody-has-this")
    assert result.exit_code == 3
    assert "no lab 'nobody-has-this' is up" in result.stderr


@pytest.mark.lab
def test_status_shows_each_node_and_its_address(lab_cli, lab_topology):
    result = lab_cli("status", "-p", lab_topology.project)
    assert result.exit_code == 0, result.stderr
    assert result.stdout.count("healthy") == 3
    assert result.stdout.count(".163 ") == result.stdout.count(".129 ") == 1


@pytest.mark.lab
def test_a_failing_check_is_the_exit_code_of_run(lab_cli, lab_topology, tmp_path, monkeypatch):
    (tmp_path / "it_fails.py").write_text(FAILING)
    monkeypatch.setattr(scenarios, "FOLDER", tmp_path)
    runs = tmp_path / "runs"
    result = lab_cli("run", "-p", lab_topology.project, "--runs", str(runs), "--seed", "7", "it-fails")
    assert result.exit_code == 1
    assert "FAIL" in result.stdout
    assert 'assert record["a"] == 2' in result.stdout
    kept = json.loads((runs / "latest" / "record.json").read_text())
    assert (kept["verdict"], kept["seed"]) == ("fail", 7)
