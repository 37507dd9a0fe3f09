"""`lab gc`, and the removal of leftovers by every other command."""

import json
import os
import socket
import subprocess
import time
from dataclasses import replace

import docker
import pytest
from typer.testing import CliRunner

from lab.cli.app import app
from lab.cli.leftovers import report_leftovers
from lab.engine.lifecycle.owner import Owner

PROJECT = f"socketlab-gc-{os.getpid()}"


def gone():
    process = subprocess.Popen(["true"])
    process.wait()
    return str(replace(Owner.current(), pid=process.pid))


@pytest.fixture(autouse=True)
def machine(monkeypatch):
    """A machine of its own: the commands of other tests must not remove these leftovers."""
    monkeypatch.setattr(socket, "gethostname", lambda: f"{PROJECT}.test")


@pytest.fixture
def networks():
    """Makes a network that is all that is left of a lab. Those that still exist at the end are removed."""
    client = docker.from_env()
    made = []

    def make(name, owner, **labels):
        project = f"{PROJECT}-{name}"
        labels = {"com.docker.compose.project": project, "socketlab.owner": owner} | labels
        made.append(client.networks.create(f"{project}_lan", labels=labels, internal=True))
        return project

    yield make
    for network in made:
        if client.networks.list(ids=[network.id]):
            network.remove()
    client.close()


def gc(*options):
    done = CliRunner().invoke(app, ["gc", *options])
    assert done.exit_code == 0, done.output
    return done.stdout


def ours(output):
    """The lines, or JSON objects, about the labs of this test."""
    if output.startswith("["):
        return [each for each in json.loads(output) if each["name"].startswith(PROJECT)]
    return [line for line in output.splitlines() if PROJECT in line]


@pytest.mark.lab
def test_labs_are_listed_then_removed_and_those_of_others_are_kept(networks):
    left = networks("left", gone())
    elsewhere = networks("elsewhere", str(replace(Owner.current(), machine="other")))
    networks("running", str(Owner.current()))
    networks("staying", "")
    [kept, listed] = ours(gc("--dry-run"))
    assert listed == f"{left} would be removed"
    assert kept.startswith(f"kept {elsewhere}: its process {os.getpid()} is on another machine")
    rows = ours(gc("--json"))
    assert [(row["name"], row["owner"], row["removed"]) for row in rows] == [
        (elsewhere, "unknown", False),
        (left, "gone", True),
    ]
    assert ours(gc("--dry-run", "--all")) == [f"{elsewhere} would be removed"]


@pytest.mark.lab
def test_another_command_removes_a_leftover_and_says_so_but_not_the_lab_that_it_is_about(networks, capsys):
    left, asked = networks("left", gone()), networks("asked", gone())
    lines, deadline = [], time.monotonic() + 30
    while not lines:  # a command may exit before it has looked for leftovers
        assert time.monotonic() < deadline
        report_leftovers()
        capsys.readouterr()
        CliRunner().invoke(app, ["status", "-p", asked])
        report_leftovers()
        lines = ours(capsys.readouterr().err)
    assert [line.partition(": process ")[0] for line in lines] == [f"lab: removed {left}"]
    assert asked in str(ours(gc("--dry-run")))


def test_without_an_engine_gc_reports_it(monkeypatch):
    monkeypatch.setenv("DOCKER_HOST", "unix:///nowhere.sock")
    done = CliRunner().invoke(app, ["gc"])
    assert done.exit_code == 3
    assert "no Docker Engine answers" in done.output
