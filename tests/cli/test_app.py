"""The command line: every error is one clear line and an exit code."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from lab.cli.app import app
from lab.scenarios import catalog

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
    assert all(name in result.stdout for name in catalog.names())


def test_an_unknown_scenario_lists_the_known_ones(lab_cli):
    result = lab_cli("run", "tcp-hallo")
    assert result.exit_code == 2
    assert "did you mean tcp-hello?" in result.stderr
    assert "udp-echo" in result.stderr


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["up", "-p", "Not A Name"], "not a project name"),
        (["up", "--prefix", "servers=8.8.8"], "public address range"),
        (["run"], "no scenario given"),
        (["run", "tcp-hello", "--variant", "broken"], "tcp-hello has no variants"),
        (["run", "sticky-packets", "--variant", "half"], "no variant 'half'; there are: broken, fixed"),
        (["run", "tcp-hello", "--repeat", "0"], "repeat"),
        (["run", "tcp-hello", "--lang", "fr"], "no texts in 'fr'; there are: en, zh-CN"),
        (["list", "--lang", "fr"], "no texts in 'fr'"),
        (["explain"], "Missing argument"),
        (["explain", "tcp-hallo"], "did you mean tcp-hello?"),
        (["dance"], "No such command"),
    ],
)
def test_a_usage_error_is_one_message_and_exit_code_2(lab_cli, words, said):
    result = lab_cli(*words)
    assert result.exit_code == 2
    assert said in result.stderr
    assert "Traceback" not in result.stderr


def test_explain_prints_the_lesson_without_an_engine(lab_cli, monkeypatch):
    monkeypatch.setenv("DOCKER_HOST", "unix:///nowhere.sock")
    result = lab_cli("explain", "sticky-packets")
    assert result.exit_code == 0
    scenario = catalog.load("sticky-packets")
    for text in (scenario.title, *scenario.outcomes.values(), "lab run sticky-packets --variant broken"):
        assert text in result.stdout
    for line in scenario.lesson.splitlines() + scenario.programs["FIXED_CLIENT"].splitlines():
        assert line.strip() in result.stdout
    assert "+    return read(stream, int.from_bytes" in result.stdout


@pytest.mark.parametrize("words", [["explain", "sticky-packets"], ["list"], ["list", "--pitfalls"]])
def test_the_option_or_the_environment_decides_on_the_language(lab_cli, monkeypatch, words):
    for name in ("LC_ALL", "LC_MESSAGES", "LANG"):
        monkeypatch.delenv(name, raising=False)
    assert "Answers stick together" in lab_cli(*words).stdout
    assert "粘包" in lab_cli(*words, "--lang", "zh").stdout
    monkeypatch.setenv("LANG", "zh_CN.UTF-8")
    assert "粘包" in lab_cli(*words).stdout
    assert "Answers stick together" in lab_cli(*words, "--lang", "en").stdout


def test_list_and_explain_for_scripts(lab_cli):
    found = json.loads(lab_cli("list", "--json").stdout)
    assert [entry["name"] for entry in found] == catalog.names()
    assert set(found[0]) == {"name", "title", "topology"}
    (lesson,) = json.loads(lab_cli("explain", "sticky-packets", "--json", "--lang", "en").stdout)
    assert set(lesson) == {"name", "title", "lesson", "outcomes", "programs", "topology"}
    assert set(lesson["outcomes"]) == {"broken", "fixed"}
    assert "粘包" in lab_cli("list", "--json", "--lang", "zh").stdout


def test_list_can_show_the_pitfalls_alone(lab_cli):
    shown = lab_cli("list", "--pitfalls").stdout
    assert "no-auth" in shown
    assert "tcp-hello" not in shown


@pytest.mark.parametrize(
    "words",
    [
        ["up"],
        ["down"],
        ["status", "--json"],
        ["run", "tcp-hello"],
        ["shell"],
        ["exec", "client", "true"],
        ["cp", "client:x", "."],
        ["forward", "client:80"],
        ["link", "show"],
        ["capture", "client"],
    ],
    ids=" ".join,
)
def test_without_an_engine_each_command_reports_it_and_exits_with_3(words):
    """In a process of its own: the Docker SDK doesn't close a socket that failed to connect."""
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
def test_status_reports_a_lab_that_is_not_up(lab_cli):
    result = lab_cli("status", "-p", "nobody-has-this")
    assert result.exit_code == 3
    assert "no lab 'nobody-has-this' is up" in result.stderr


@pytest.mark.lab
def test_status_shows_each_node_and_its_address(lab_cli, lab_topology):
    result = lab_cli("status", "-p", lab_topology.project)
    assert result.exit_code == 0, result.stderr
    assert result.stdout.count("healthy") == 3
    assert "win10 (server)" in result.stdout  # the title first, as in `lab topology`
    assert result.stdout.count(".163 ") == result.stdout.count(".129 ") == 1


@pytest.mark.lab
def test_the_json_of_status_has_the_same_nodes(lab_cli, lab_topology):
    found = json.loads(lab_cli("status", "-p", lab_topology.project, "--json").stdout)
    assert set(found) == {"project", "topology", "nodes"}
    assert found["project"] == lab_topology.project
    assert {node["state"] for node in found["nodes"]} == {"healthy"}
    server = next(node for node in found["nodes"] if node["name"] == "server")
    assert set(server) == {"name", "names", "role", "state", "segments", "addresses", "addresses6"}
    assert "win10" in server["names"]
    assert server["addresses"][0].endswith(".163")


@pytest.mark.lab
def test_verdicts_for_scripts(lab_cli, lab_topology, tmp_path, monkeypatch):
    (tmp_path / "it_fails.py").write_text(FAILING)
    (tmp_path / "it_passes.py").write_text(FAILING.replace("== 2", "== 1"))
    monkeypatch.setattr(catalog, "FOLDER", tmp_path)
    words = ("run", "-p", lab_topology.project, "--runs", str(tmp_path / "runs"), "--json")
    result = lab_cli(*words, "it-passes", "it-fails")
    assert result.exit_code == 1
    found = json.loads(result.stdout)
    assert found["verdict"] == "fail"
    assert [(run["scenario"], run["verdict"]) for run in found["runs"]] == [
        ("it-passes", "pass"),
        ("it-fails", "fail"),
    ]
    keys = {"scenario", "verdict", "reason", "seconds", "folder", "diagnosis", "see_also"}
    assert all(set(run) == keys for run in found["runs"])
    assert 'assert record["a"] == 2' in found["runs"][1]["reason"]
    assert Path(found["runs"][0]["folder"], "record.json").is_file()


@pytest.mark.lab
def test_a_failing_check_is_the_exit_code_of_run(lab_cli, lab_topology, tmp_path, monkeypatch):
    (tmp_path / "it_fails.py").write_text(FAILING)
    monkeypatch.setattr(catalog, "FOLDER", tmp_path)
    runs = tmp_path / "runs"
    result = lab_cli("run", "-p", lab_topology.project, "--runs", str(runs), "--seed", "7", "it-fails")
    assert result.exit_code == 1
    assert "FAIL" in result.stdout
    assert 'assert record["a"] == 2' in result.stdout
    kept = json.loads((runs / "latest" / "record.json").read_text())
    assert (kept["verdict"], kept["seed"]) == ("fail", 7)


@pytest.mark.lab
def test_a_pitfall_ends_with_its_lesson(lab_cli, lab_topology, tmp_path):
    result = lab_cli("run", "-p", lab_topology.project, "--runs", str(tmp_path), "sticky-packets")
    assert result.exit_code == 0, result.stdout
    parts = [
        "python3 -P -c BROKEN_CLIENT",
        "python3 -P -c FIXED_CLIENT",
        "PASS",
        "broken: The answer to the second",
        "SYN → 7016",
        "fixed: Each command gets its own",
        "SYN → 7016",
        "A larger number for recv only moves the limit.",
        "-    if not (data := stream.recv(1024)):",
        "+    return read(stream, int.from_bytes",
        "the run's folder",
    ]
    rest = result.stdout
    for part in parts:
        _, found, rest = rest.partition(part)
        assert found, f"{part!r} is missing or in another place"


@pytest.mark.lab
def test_one_variant_is_played_alone(lab_cli, lab_topology, tmp_path):
    words = ("run", "-p", lab_topology.project, "--runs", str(tmp_path), "sticky-packets", "--variant")
    result = lab_cli(*words, "broken", "--lang", "zh")
    assert result.exit_code == 0, result.stdout
    assert "python3 -P -c FIXED" not in result.stdout
    assert "错误写法：" in result.stdout
    assert list(json.loads((tmp_path / "latest" / "record.json").read_text())["record"]) == ["broken"]


@pytest.mark.lab
def test_repeated_plays_are_counted_by_verdict(lab_cli, lab_topology, tmp_path, monkeypatch):
    (tmp_path / "it_fails.py").write_text(FAILING)
    (tmp_path / "it_passes.py").write_text(FAILING.replace("== 2", "== 1"))
    monkeypatch.setattr(catalog, "FOLDER", tmp_path)
    runs = tmp_path / "runs"
    words = ("run", "-p", lab_topology.project, "--runs", str(runs), "--repeat", "3")
    result = lab_cli(*words, "it-passes", "it-fails")
    assert result.exit_code == 1
    assert "3 × pass" in result.stdout
    assert "3 × fail" in result.stdout
    assert result.stdout.count('assert record["a"] == 2') == 3
    assert len(list((runs / "it-fails").iterdir())) == 3, "the folder of a failed run was removed"
    assert len(list((runs / "it-passes").iterdir())) == 1
    assert lab_cli(*words, "it-passes").exit_code == 0


@pytest.mark.parametrize(
    "words", [["topology", "-f", "default", "--json"], ["list"], ["explain", "tcp-hello"]]
)
def test_a_reader_that_closes_the_pipe_ends_a_command_silently(words):
    reader, writer = os.pipe()
    os.close(reader)
    argv, environment = [sys.executable, "-m", "lab", *words], os.environ | {"PYTHONPATH": str(ROOT)}
    try:
        done = subprocess.run(argv, stdout=writer, stderr=subprocess.PIPE, env=environment)
    finally:
        os.close(writer)
    assert (done.returncode, done.stderr) == (128 + signal.SIGPIPE, b"")


TERMINATED = """
import os, signal, sys, time
import lab.engine.lifecycle.cleanup as cleanup
from lab.cli.app import main
def take_down(*_):
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(20)
cleanup.take_down = take_down
sys.argv = ["lab", "down", "-p", "x"]
main()
"""


def test_sigterm_ends_a_command_as_ctrl_c_does():
    argv, environment = [sys.executable, "-c", TERMINATED], os.environ | {"PYTHONPATH": str(ROOT)}
    done = subprocess.run(argv, capture_output=True, text=True, env=environment)
    assert (done.returncode, done.stderr.splitlines()[-1]) == (128 + signal.SIGTERM, "lab: interrupted")
