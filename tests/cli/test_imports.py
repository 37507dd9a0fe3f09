"""A command imports only what it needs."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
HEAVY = {"docker", "requests", "paramiko", "cryptography", "jinja2", "dpkt", "pydantic"}
LOADED = """
import json, sys
from lab.cli.app import main
try:
    sys.argv[0] = "lab"
    main()
except SystemExit as end:
    sys.stderr.write("\\n" + json.dumps([end.code or 0, sorted(sys.modules)]))
"""


def modules_after(*words):
    """The modules that `lab WORDS` has imported when it ends."""
    argv = [sys.executable, "-c", LOADED, *words]
    done = subprocess.run(argv, cwd=ROOT, capture_output=True, text=True, timeout=60)
    code, modules = json.loads(done.stderr.splitlines()[-1])
    assert code == 0, done.stderr
    return set(modules)


@pytest.mark.parametrize("words", [("--help",), ("list",), ("list", "--lang", "en")], ids=" ".join)
def test_a_command_without_a_lab_imports_no_library_for_labs(words):
    assert modules_after(*words) & HEAVY == set()


ALL_HELP = """
import json, sys
from typer.main import get_command
from typer.testing import CliRunner
from lab.cli.app import app

def show(group, path):
    for name, command in group.commands.items():
        below = [*path, name]
        assert CliRunner().invoke(app, [*below, "--help"]).exit_code == 0
        command = command.loaded() if hasattr(command, "loaded") else command
        if hasattr(command, "commands"):
            show(command, below)

show(get_command(app), [])
sys.stderr.write(json.dumps([0, sorted(sys.modules)]))
"""


def test_help_and_completion_of_a_command_import_no_library_for_labs():
    """Completion imports the command's module, too."""
    done = subprocess.run(
        [sys.executable, "-c", ALL_HELP], cwd=ROOT, capture_output=True, text=True, timeout=60
    )
    assert set(json.loads(done.stderr)[1]) & HEAVY == set()


def test_the_help_imports_no_command():
    assert [
        name for name in modules_after("--help") if name.startswith(("lab.control", "lab.cli.labs"))
    ] == []


def test_explain_imports_neither_an_engine_nor_ssh_and_list_no_syntax_highlighting():
    assert "pygments" not in modules_after("list")
    assert modules_after("explain", "tcp-hello") & HEAVY == set()


def test_the_way_to_a_node_on_this_machine_needs_no_docker_sdk():
    code = "import json, sys, lab.engine.docker_transport; print(json.dumps(sorted(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert set(json.loads(done.stdout)) & {"docker", "requests"} == set()
