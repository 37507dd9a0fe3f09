"""`lab trace` finds a run and its page. Every run writes one; if that fails, the verdict stays the same."""

import json
import webbrowser
from contextlib import contextmanager

import pytest
from typer.testing import CliRunner

from lab.cli.app import app
from lab.control.lab import Lab, ignore
from lab.evidence import trace
from lab.scenarios.catalog import Scenario
from lab.scenarios.play import play
from tests.evidence.trace_runs import hello, lossy


@pytest.fixture
def runs(tmp_path):
    """Two runs of one scenario and one of another, which is the newest."""
    for name, moment, make in (("hello", "01", hello), ("hello", "02", hello), ("lossy", "03", lossy)):
        trace.write(make(tmp_path / name / f"2026-11-18T11-{moment}-00.000Z").save())
    return tmp_path


def lab(*argv):
    return CliRunner().invoke(app, ["trace", *map(str, argv)])


def test_the_newest_run_is_found(runs):
    done = lab("--runs", runs, "--no-open")
    assert (done.exit_code, done.stderr) == (0, "")
    assert done.stdout == f"{runs / 'lossy' / '2026-11-18T11-03-00.000Z' / 'trace.html'}\n"


def test_a_scenario_means_its_newest_run(runs):
    assert "2026-11-18T11-02-00.000Z" in lab("hello", "--runs", runs, "--no-open").stdout


def test_a_folder_means_this_run(runs):
    folder = runs / "hello" / "2026-11-18T11-01-00.000Z"
    assert lab(folder, "--no-open").stdout == f"{folder / 'trace.html'}\n"


def test_it_opens_in_the_browser(runs, monkeypatch):
    opened = []
    monkeypatch.setattr(webbrowser, "open", lambda url: opened.append(url) or True)
    assert lab("hello", "--runs", runs).exit_code == 0
    assert opened == [(runs / "hello" / "2026-11-18T11-02-00.000Z" / "trace.html").as_uri()]


def test_without_a_browser_it_prints_the_path_to_open(runs, monkeypatch):
    monkeypatch.setattr(webbrowser, "open", lambda url: False)
    done = lab("--runs", runs)
    assert "open this file" in done.stderr
    assert done.stdout.endswith("trace.html\n")


def test_a_run_without_a_page_gets_one(runs):
    page = runs / "lossy" / "2026-11-18T11-03-00.000Z" / "trace.html"
    page.unlink()
    assert lab("--runs", runs, "--no-open").exit_code == 0
    assert page.is_file()


def test_a_language_is_written_into_the_page(runs):
    page = runs / "lossy" / "2026-11-18T11-03-00.000Z" / "trace.html"
    assert '"language":"zh-CN"' not in page.read_text()
    assert lab("--runs", runs, "--no-open", "--lang", "zh").exit_code == 0
    assert '"language":"zh-CN"' in page.read_text()
    done = lab("--runs", runs, "--no-open", "--lang", "xx")
    assert (done.exit_code, "'xx'" in done.stderr) == (2, True)


def test_chosen_nodes_are_in_the_address_of_the_page(runs, monkeypatch):
    opened = []
    monkeypatch.setattr(webbrowser, "open", lambda url: opened.append(url) or True)
    done = lab("hello", "--runs", runs, "--nodes", "server,kali")
    page = (runs / "hello" / "2026-11-18T11-02-00.000Z" / "trace.html").as_uri()
    assert opened == [f"{page}#nodes=win10,kali"]
    assert done.stdout == f"{page}#nodes=win10,kali\n"


def test_an_unknown_node_is_a_usage_error_that_lists_the_names(runs):
    done = lab("hello", "--runs", runs, "--no-open", "--nodes", "kali,nobody")
    assert (done.exit_code, done.stdout) == (2, "")
    assert "no node 'nobody'; there are kali, router, win10" in done.stderr


def test_the_nodes_of_a_record_that_can_t_be_read_are_an_error_in_one_line(runs):
    folder = runs / "lossy" / "2026-11-18T11-03-00.000Z"
    (folder / "record.json").write_text('{"nodes": 7}')
    done = lab("--runs", runs, "--no-open", "--nodes", "kali")
    assert (done.exit_code, done.stderr.count("\n")) == (2, 1)


@pytest.mark.parametrize("asked", ["nope", "../hello", "hello/../.."])
def test_an_unknown_run_is_a_usage_error_in_one_line(runs, asked):
    done = lab(asked, "--runs", runs, "--no-open")
    assert done.exit_code == 2
    assert done.stderr.count("\n") == 1
    assert "there are runs of hello, lossy" in done.stderr


def test_without_runs_the_error_names_the_command_that_makes_one(tmp_path):
    done = lab("--runs", tmp_path / "none")
    assert done.exit_code == 2
    assert "lab run tcp-hello" in done.stderr


def test_a_run_that_can_t_be_read_is_reported_in_one_line(runs):
    folder = runs / "lossy" / "2026-11-18T11-03-00.000Z"
    (folder / "trace.html").unlink()
    (folder / "record.json").write_text("{")
    done = lab("--runs", runs)
    assert done.exit_code == 2
    assert done.stderr.count("\n") == 1


# --- every run writes its page --------------------------------------------------------------------------


@contextmanager
def no_hosts(observe):
    yield Lab([], observe, "empty")


def played(folder, observe=ignore):
    made_up = Scenario("made-up", "A title", "A lesson", lambda lab: {"a": 1}, lambda record: None)
    return play(made_up, no_hosts, observe, folder)


def test_every_run_writes_its_page(tmp_path):
    outcome = played(tmp_path)
    text = (outcome.folder / "trace.html").read_text()
    assert ">passed<" in text
    assert "A title" in text


def test_a_page_that_can_t_be_written_is_reported_and_the_verdict_stays(tmp_path, monkeypatch):
    def broken(folder, traffic):
        raise RuntimeError("no ink")

    monkeypatch.setattr(trace, "write", broken)
    events = []
    outcome = played(tmp_path, events.append)
    assert outcome.verdict == "pass"
    assert json.loads((outcome.folder / "record.json").read_text())["verdict"] == "pass"
    assert [e.text for e in events if e.kind == "note"] == ["can't write trace.html: RuntimeError: no ink"]
