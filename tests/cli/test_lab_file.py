"""lab.toml in the current folder: every command uses the lab that it describes."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from lab.cli.app import app
from lab.engine.client import Engine
from lab.engine.description import topologies
from lab.scenarios import catalog

ROOT = Path(__file__).parents[2]
OWN = '''"""A scenario of the user's own.

It needs a host of the user's lab.
"""
def run(lab): return {"said": lab.alice.run("hostname", check=True).stdout}
def check(record): assert record["said"] == "alice\\n"
'''


@pytest.fixture
def name():
    return f"socketlab-file-{os.getpid()}"


@pytest.fixture
def folder(tmp_path, name):
    """A user's folder with a lab.toml and a scenario."""
    (tmp_path / "lab.toml").write_text(f'name = "{name}"\n[hosts.alice]\n')
    (tmp_path / "scenarios").mkdir()
    (tmp_path / "scenarios" / "own_one.py").write_text(OWN)
    return tmp_path


@pytest.fixture
def lab_in(folder):
    """Runs `lab WORDS` in the folder. Its lab is removed after the test."""
    environment = {key: value for key, value in os.environ.items() if key != "COMPOSE_PROJECT_NAME"}

    def run(*words, **more):
        return subprocess.run(
            [sys.executable, "-m", "lab", *words],
            cwd=folder,
            env=environment | {"PYTHONPATH": str(ROOT)} | more,
            capture_output=True,
            text=True,
            timeout=60,
        )

    yield run
    run("down", "-q")


def left_of(project):
    with Engine() as engine:
        return engine.resources(project)


@pytest.mark.lab
def test_every_command_finds_the_lab_of_the_folder(lab_in, folder, name):
    up = lab_in("up")
    assert up.returncode == 0, up.stderr
    assert "Next: lab status or lab shell" in up.stdout
    before = lab_in("status").stdout
    assert before.startswith(f"{name}")
    assert before.count("healthy") == 1

    own = lab_in("run", "own-one", LAB_SCENARIOS="scenarios")
    assert own.returncode == 0, own.stdout + own.stderr
    shipped = lab_in("run", "tcp-hello")
    assert shipped.returncode == 3
    assert "no node 'server'; there are alice; `lab run -f default tcp-hello` plays it" in shipped.stdout

    with (folder / "lab.toml").open("a") as file:
        file.write("[hosts.bob]\n")
    again = json.loads(lab_in("up", "--json").stdout)
    assert again["project"] == name
    assert {node["name"]: node["state"] for node in again["nodes"]} == {
        "alice": "healthy",
        "bob": "healthy",
        "router": "healthy",
    }
    after = lab_in("status").stdout
    assert after.count("healthy") == 3  # and a router
    address = next(word for word in before.split() if word.endswith(".10"))
    assert address in after.split()

    assert lab_in("down").stdout.startswith("Removed ")
    assert left_of(name) == []


@pytest.mark.lab
def test_a_mistake_in_the_file_is_reported_with_its_line_and_nothing_is_started(lab_in, folder, name):
    (folder / "lab.toml").write_text(f'name = "{name}"\n[hosts.alice]\nsegmnt = "office"\n')
    up = lab_in("up")
    assert (up.returncode, up.stdout) == (2, "")
    assert "lab.toml:3: " in up.stderr
    assert left_of(name) == []
    assert lab_in("down").stdout == "There was no lab.\n"


@pytest.fixture
def shipped(tmp_path, monkeypatch):
    """A shipped topology with a scenario for it. Its name is that of the scenario's lab."""
    name = f"solo{os.getpid()}"
    (tmp_path / f"{name}.toml").write_text("[hosts.alice]\n")
    (tmp_path / "on_solo.py").write_text(OWN.replace("def run", f'TOPOLOGY = "{name}"\ndef run'))
    monkeypatch.setattr(topologies, "FOLDER", tmp_path)
    monkeypatch.setattr(catalog, "FOLDER", tmp_path)
    return name


@pytest.mark.lab
def test_run_starts_a_lab_with_the_topology_that_a_scenario_names(shipped, tmp_path):
    words = ("run", "on-solo", "--runs", str(tmp_path / "runs"))
    result = CliRunner().invoke(app, words)
    assert result.exit_code == 0, result.output
    assert left_of(f"socketlab-{shipped}") == []
    assert shipped in CliRunner().invoke(app, ("list",)).stdout


@pytest.mark.lab
def test_on_a_given_lab_without_its_nodes_a_scenario_is_unsupported(shipped, lab_topology, tmp_path):
    words = ("run", "-f", shipped, "-p", lab_topology.project, "on-solo", "--runs", str(tmp_path / "runs"))
    result = CliRunner().invoke(app, words)
    assert result.exit_code == 3, result.output
    assert "this lab has no node alice" in result.stdout
