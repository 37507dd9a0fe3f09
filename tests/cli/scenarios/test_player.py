"""Scenarios played once or many times, on a lab without hosts: what is shown, and the exit code."""

import io
from contextlib import contextmanager
from itertools import count
from pathlib import Path

import pytest
from rich.console import Console

from lab.cli.output.view import View
from lab.cli.scenarios.player import play_often, play_once
from lab.control.lab import Lab
from lab.errors import Unsupported
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
    return Console(file=io.StringIO(), width=100)


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
