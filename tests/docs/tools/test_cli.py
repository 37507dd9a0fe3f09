"""`python -m docs.tools`: only what passed is kept, and whatever is wrong is one line and an exit code."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from docs.tools.cli import app
from docs.tools.recording import load
from lab.scenarios import catalog

ROOT = Path(__file__).parents[3]
TEXT = 'title = "T"\ntext = "t"\n'
COURSE = f"""[en]\n{TEXT}[zh-CN]\n{TEXT}[references]\n
[[part]]\nscenarios = ["trap"]\n[part.en]\n{TEXT}[part.zh-CN]\n{TEXT}"""
TRAP = '''"""Title.

Lesson.
"""
def run(lab):
    return {"said": lab.client.run("echo hello; ping -c 1 server >/dev/null").stdout}
def check(record):
    assert record["said"] == "hello\\n"
'''


@pytest.fixture
def gallery(tmp_path, monkeypatch):
    """A gallery of one scenario, without a recording."""
    monkeypatch.delenv("COMPOSE_PROJECT_NAME", raising=False)
    monkeypatch.setattr("docs.tools.GALLERY", tmp_path / "gallery")
    monkeypatch.setattr("docs.tools.REFERENCE", tmp_path / "reference")
    monkeypatch.setattr("docs.tools.socket_reference.TABLES", {})
    monkeypatch.setattr(catalog, "FOLDER", tmp_path / "scenarios")
    for folder in ("gallery", "reference", "scenarios"):
        (tmp_path / folder).mkdir()
    (tmp_path / "gallery" / "course.toml").write_text(COURSE)
    (tmp_path / "reference" / "texts.toml").write_text(f"[page.en]\n{TEXT}[page.zh-CN]\n{TEXT}")
    (tmp_path / "scenarios" / "trap.py").write_text(TRAP)
    return tmp_path / "gallery"


def pages(*words):
    return CliRunner().invoke(app, words)


def one_line(result, exit_code, said):
    assert result.exit_code == exit_code, result.output
    (line,) = result.stderr.splitlines()
    assert said in line


def test_an_unknown_scenario(gallery):
    one_line(pages("record", "trip"), 2, "no scenario 'trip'; did you mean trap?")


def test_a_bad_name_of_a_lab(gallery):
    one_line(pages("record", "-p", "Not A Name"), 2, "is not a project name")


def test_no_page_without_a_recording(gallery):
    one_line(pages("write"), 1, "trap has no recording: `make docs` records it")
    assert [path.name for path in gallery.iterdir()] == ["course.toml"]


def test_a_scenario_without_a_place_in_the_course(gallery):
    (catalog.FOLDER / "other.py").write_text(TRAP)
    one_line(pages("write"), 2, "course.toml: other is missing")


def test_an_invalid_recording(gallery):
    (gallery / "recorded").mkdir()
    (gallery / "recorded" / "trap.json").write_text("{}")
    one_line(pages("write"), 2, "trap.json isn't a recording")


@pytest.mark.lab
def test_a_run_that_passes_is_recorded_once_and_written(gallery, lab_topology, tmp_path):
    record = ("record", "-p", lab_topology.project, "--runs", str(tmp_path / "runs"))
    result = pages(*record)
    assert (result.exit_code, result.stderr) == (0, "")
    assert result.stdout.startswith("1/1 trap: ")
    assert load("trap").record == {"said": "hello\n"}
    assert "up to date" in pages(*record).stdout

    (gallery / "gone.md").write_text("of a scenario that isn't there any more")
    (gallery / "recorded" / "gone.json").write_text("{}")
    assert pages("write").stdout == "6 pages: 6 written, 2 removed\n"
    assert "hello" in (gallery / "trap.md").read_text()
    assert "ICMP echo request" in (gallery / "trap.zh-CN.md").read_text()
    assert pages("write").stdout == "6 pages: 0 written, 0 removed\n"

    (catalog.FOLDER / "trap.py").write_text(TRAP.replace("Lesson", "Another lesson"))
    assert pages("write").stdout == "6 pages: 2 written, 0 removed\n"
    (catalog.FOLDER / "trap.py").write_text(TRAP.replace("echo hello", "echo hello "))
    one_line(pages("write"), 1, "trap was changed after it was recorded: `make docs` records it")
    assert pages(*record).stdout.startswith("1/1 trap: ")


@pytest.mark.lab
@pytest.mark.parametrize(
    ("run", "exit_code", "said"),
    [
        ("return {'said': 'bye'}", 1, "trap isn't recorded: trap.py:"),
        ("raise Unsupported('not here')", 3, "trap isn't recorded: not here"),
    ],
)
def test_a_run_that_does_not_pass_is_not_recorded(gallery, lab_topology, tmp_path, run, exit_code, said):
    (catalog.FOLDER / "trap.py").write_text(
        f'"""Title."""\nfrom lab.errors import Unsupported\ndef run(lab): {run}\n'
        "def check(record): assert record['said'] == 'hello'\n"
    )
    result = pages("record", "-p", lab_topology.project, "--runs", str(tmp_path / "runs"))
    one_line(result, exit_code, said)
    (left,) = (tmp_path / "runs" / "trap").iterdir()
    assert str(left) in result.stderr
    assert json.loads((left / "record.json").read_text())["verdict"] != "pass"
    assert not (gallery / "recorded").exists()


@pytest.mark.parametrize(
    ("words", "exit_code", "said"),
    [(["no-such"], 2, "no scenario 'no-such'"), (["tcp-hello"], 3, "no Docker Engine answers")],
)
def test_the_module_is_a_command(words, exit_code, said):
    environment = {**os.environ, "DOCKER_HOST": "unix:///nowhere.sock"}
    done = subprocess.run(
        [sys.executable, "-m", "docs.tools", "record", *words],
        cwd=ROOT, env=environment, capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    assert (done.returncode, done.stdout) == (exit_code, "")
    (line,) = done.stderr.splitlines()
    assert said in line
