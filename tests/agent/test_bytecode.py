"""The lab's code is compiled once, and again after it has changed."""

import os
import sys
from pathlib import Path

import pytest

from lab.agent import bytecode


@pytest.fixture
def code(tmp_path, monkeypatch):
    """A folder like lab/ with two modules, one of which has a mistake."""
    monkeypatch.setattr(sys, "pycache_prefix", str(tmp_path / "cache"))
    room = tmp_path / "lab" / "agent" / "inner"
    room.mkdir(parents=True)
    (room / "good.py").write_text("x = 1\n")
    (room / "bad.py").write_text("x = = 1\n")
    return tmp_path / "lab"


def compile_all(code, parent=None):
    """In a child, because it lowers its priority."""
    child = os.fork()
    if child == 0:
        try:
            bytecode.compile_all(parent or os.getppid(), code)
        finally:
            os._exit(0)
    assert os.waitpid(child, 0)[1] == 0


def names(code):
    return [source.name for source in bytecode.outdated(code)]


def test_what_can_be_compiled_is_compiled(code):
    assert names(code) == ["bad.py", "good.py"]
    compile_all(code)
    assert names(code) == ["bad.py"]


def test_a_changed_file_is_compiled_again(code):
    compile_all(code)
    (code / "agent" / "inner" / "good.py").write_text("x = 10\n")
    assert "good.py" in names(code)
    compile_all(code)
    assert names(code) == ["bad.py"]


def test_it_stops_when_its_parent_has_ended(code):
    compile_all(code, parent=1)
    assert names(code) == ["bad.py", "good.py"]


def test_all_rooms_that_nodes_import_are_compiled():
    found = {path.name for path in Path(bytecode.CODE).iterdir() if (path / "__init__.py").exists()}
    assert set(bytecode.ROOMS) <= found
