"""README and docs: their examples work, and they list every command and module."""

import io
import re
from pathlib import Path

import pytest
from rich.console import Console

from lab.cli.app import app
from lab.cli.output.view import View
from lab.control.lab import ignore
from lab.control.transport import from_engine
from lab.scenarios import catalog
from lab.scenarios.play import play

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text()
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]


def blocks(language, page=README):
    """The code blocks of a page that are marked with this language; "" finds those without a mark."""
    fenced = re.findall(r"^```(\w*)\n(.*?)^```$", page, re.MULTILINE | re.DOTALL)
    return [text for mark, text in fenced if mark == language]


def commands():
    groups = {group.name for group in app.registered_groups}
    return groups | {command.name or command.callback.__name__ for command in app.registered_commands}


def test_every_command_is_in_readme_and_every_command_in_readme_exists():
    named = set(re.findall(r"(?:`|, `)lab ([a-z]+)", README))
    assert named == commands()


def test_every_make_target_in_readme_exists():
    targets = set(re.findall(r"^([a-z-]+):.*## ", (ROOT / "Makefile").read_text(), re.MULTILINE))
    named = set(re.findall(r"(?:^|`)make ([a-z]+)", README, re.MULTILINE))
    assert {"demo", "test"} <= named <= targets


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_link_leads_somewhere(page):
    for target in re.findall(r"\]\(([^)#]+)\)", page.read_text()):
        assert "://" in target or (page.parent / target).exists(), f"{page.name} links to {target}"


def rows_of_the_map():
    """The modules that docs/whats-here.md names, as paths: the heading is the folder, the row the file."""
    folder = ""
    for line in (ROOT / "docs/whats-here.md").read_text().splitlines():
        if line.startswith("## "):
            folder = line.removeprefix("## ").strip()
        elif folder and line.startswith("| `"):
            yield from (f"{folder}/{name}.py" for name in re.findall(r"`(\w+)`", line.split("|")[1]))


def test_every_module_is_on_the_map_at_its_path():
    modules = {
        path.relative_to(ROOT).as_posix()
        for folder in ("lab", "docs/tools")
        for path in (ROOT / folder).rglob("*.py")
        if path.name not in ("__init__.py", "__main__.py")
    }
    rows = sorted(rows_of_the_map())
    assert rows == sorted(modules - {"lab/errors.py", "lab/shipped.py"})
    assert "lab/errors.py" in (ROOT / "docs/whats-here.md").read_text()


def test_every_file_on_the_map_exists():
    named = re.findall(r"`([\w-]+[./][\w./-]*)`", (ROOT / "docs/whats-here.md").read_text())
    assert named
    for name in named:
        assert (ROOT / name).exists() or name == "trace.html", name


@pytest.mark.lab
def test_the_scenario_of_readme_passes(lab_topology, tmp_path, monkeypatch):
    (source,) = [block for block in blocks("python") if "def run(lab)" in block]
    (tmp_path / "a_letter.py").write_text(source)
    monkeypatch.setattr(catalog, "FOLDER", tmp_path)
    outcome = play(
        catalog.load("a-letter"), lambda o: from_engine(lab_topology.project, o), ignore, tmp_path / "runs"
    )
    assert (outcome.verdict, outcome.reason) == ("pass", "")
    with pytest.raises(AssertionError):
        outcome.scenario.check({**outcome.record, "heard": []})


@pytest.mark.lab
def test_the_test_of_readme_passes(shared_lab):
    (source,) = [block for block in blocks("python") if "def test_two_hosts" in block]
    names = {}
    exec(compile(source, "README.md", "exec"), names)
    names["test_two_hosts"](shared_lab)


@pytest.mark.lab
@pytest.mark.parametrize(("page", "language"), [("README.md", "en"), ("README.zh-CN.md", "zh-CN")])
def test_the_output_in_readme_is_what_a_run_prints(lab_topology, tmp_path, page, language):
    text = (ROOT / page).read_text(encoding="utf-8")
    (shown,) = [block for block in blocks("", text) if "▶ tcp-hello" in block]
    console = Console(file=io.StringIO(), width=100)
    view = View(console, language=language)
    scenario = catalog.load("tcp-hello")
    view.begin(scenario)
    view.end(play(scenario, lambda o: from_engine(lab_topology.project, o), view.observe, tmp_path))
    assert likeness(shown) == likeness(console.file.getvalue())


def likeness(output):
    """The lines up to the verdict, without numbers and in any order: two hosts speak at once."""
    lines = output.partition("PASS")[0].splitlines()
    return sorted(re.sub(r"[\d.]+", "0", line).rstrip() for line in lines)
