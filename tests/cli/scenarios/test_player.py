"""Scenarios played once or many times, on a lab without hosts: what is shown, and the exit code."""

import io
import threading
from contextlib import contextmanager
from itertools import count
from pathlib import Path

import pytest
from rich.console import Console

from lab.cli.output.view import View
from lab.cli.scenarios.player import play_often, play_once
from lab.control.lab import Lab
from lab.errors import Unsupported
from lab.evidence import trace
from lab.scenarios.catalog import Scenario
from lab.scenarios.repeat import play_repeatedly


@contextmanager
def no_hosts(observe):
    yield Lab([], observe, "empty")


def raising(error):
    def run(lab):
        raise error

    return run


def alternating():
    """Passes and fails in turns."""
    numbers = count()

    def run(lab):
        assert next(numbers) % 2 == 0, "it is the second time"
        return {}

    return run


RUNS = {"good": lambda lab: {}, "bad": raising(ValueError("no")), "odd": raising(Unsupported("not here"))}


def scenarios(names):
    return [Scenario(name, "A title", "A lesson", RUNS[name], lambda record: None) for name in names]


@pytest.fixture
def console():
    return Console(file=io.StringIO(), width=100, soft_wrap=True)


@pytest.mark.parametrize(
    ("names", "code"), [(["good"], 0), (["bad", "good"], 1), (["good", "odd"], 3), ([], 0)]
)
def test_the_worst_verdict_is_the_exit_code(tmp_path, console, names, code):
    assert play_once(scenarios(names), lambda _: no_hosts, View(console), tmp_path) == code
    assert play_often(scenarios(names), lambda _: no_hosts, console, tmp_path, 2, "en") == code


def test_many_runs_are_counted_by_verdict_and_failures_are_shown(tmp_path, console):
    play_often(scenarios(["good", "bad"]), lambda _: no_hosts, console, tmp_path, 3, "en")
    shown = console.file.getvalue()
    assert "3 × pass" in shown
    assert "3 × fail" in shown
    assert shown.count("ValueError at") == 3


def test_of_the_runs_that_pass_only_the_last_is_kept(tmp_path):
    odd = Scenario("odd", "A title", "A lesson", alternating(), lambda record: None)
    outcomes = list(play_repeatedly(odd, no_hosts, tmp_path, 5))
    assert [outcome.verdict for outcome in outcomes] == ["pass", "fail", "pass", "fail", "pass"]
    kept = {Path(folder).name for folder in (tmp_path / "odd").iterdir() if not folder.is_symlink()}
    assert kept == {outcomes[at].folder.name for at in (1, 3, 4)}


def test_each_run_is_shown_as_it_happens(tmp_path, console):
    seen = []
    for outcome in play_repeatedly(scenarios(["good"])[0], no_hosts, tmp_path, 2):
        seen.append(outcome.folder.exists())
    assert seen == [True, True]


def test_pages_are_drawn_while_the_next_scenario_is_played_and_all_exist_at_the_end(
    tmp_path, console, monkeypatch
):
    write, second_plays = trace.write, threading.Event()

    def write_slowly(folder, traffic):
        assert second_plays.wait(10)
        write(folder, traffic)

    def second(lab):
        second_plays.set()
        return {}

    monkeypatch.setattr(trace, "write", write_slowly)
    chosen = [
        Scenario("good", "A title", "A lesson", RUNS["good"], lambda record: None),
        Scenario("next", "A title", "A lesson", second, lambda record: None),
    ]
    assert play_once(chosen, lambda _: no_hosts, View(console), tmp_path) == 0
    assert len(list(tmp_path.glob("*/2*/trace.html"))) == 2


def test_a_page_that_can_t_be_drawn_is_reported_with_its_folder(tmp_path, console, monkeypatch):
    def broken(folder, traffic):
        raise RuntimeError("no ink")

    monkeypatch.setattr(trace, "write", broken)
    assert play_once(scenarios(["good", "good"]), lambda _: no_hosts, View(console), tmp_path) == 0
    folders = sorted(tmp_path.glob("good/2*"))
    notes = [line for line in console.file.getvalue().splitlines() if "no ink" in line]
    assert len(notes) == 2
    for folder, note in zip(folders, notes, strict=True):
        assert f"{folder}: can't write trace.html: RuntimeError: no ink" in note
