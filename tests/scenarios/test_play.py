"""Every run of a scenario ends with a verdict, an exit code and a record of both."""

import json
from contextlib import contextmanager
from dataclasses import replace

import pytest

from lab.control.lab import Lab, ignore
from lab.engine.description import topologies
from lab.errors import EnvironmentFailure, Unsupported
from lab.evidence.event_json import from_json
from lab.scenarios.catalog import Scenario
from lab.scenarios.play import play


@contextmanager
def no_hosts(observe):
    """A lab without hosts."""
    yield Lab([], observe, "empty")


def scenario(run, check=lambda record: None):
    return Scenario("made-up", "A title", "A lesson", run, check)


def raising(error):
    def run(lab):
        raise error

    return run


def played(run, check=lambda record: None, tmp_path=None, **options):
    return play(scenario(run, check), no_hosts, ignore, tmp_path, **options)


def reject(record):
    assert record["a"] == 2, "it must be two"


def test_a_pass_writes_its_record_and_is_the_latest(tmp_path):
    outcome = played(lambda lab: {"a": 1}, tmp_path=tmp_path)
    assert (outcome.verdict, outcome.reason, outcome.exit_code) == ("pass", "", 0)
    kept = json.loads((tmp_path / "latest" / "record.json").read_text())
    assert kept["verdict"] == "pass"
    assert kept["record"] == {"a": 1}
    assert (tmp_path / "latest").resolve() == outcome.folder
    assert {"python", "paramiko", "kernel"} <= set(kept["versions"])


def test_a_rejected_record_fails_with_the_source_of_the_assertion(tmp_path):
    outcome = played(lambda lab: {"a": 1}, reject, tmp_path)
    assert (outcome.verdict, outcome.exit_code) == ("fail", 1)
    assert 'assert record["a"] == 2' in outcome.reason
    assert "it must be two" in outcome.reason
    assert json.loads((outcome.folder / "record.json").read_text())["reason"] == outcome.reason


@pytest.mark.parametrize(
    ("error", "verdict", "exit_code", "reason"),
    [
        (AssertionError("in run"), "fail", 1, "in run"),
        (ValueError("oops"), "fail", 1, "ValueError at test_play.py"),
        (TypeError("not this"), "fail", 1, "TypeError at test_play.py"),
        (EnvironmentFailure("the host is gone"), "fail", 1, "the host is gone"),
        (Unsupported("no IPv6 here"), "unsupported", 3, "no IPv6 here"),
    ],
)
def test_an_exception_of_a_scenario_is_a_verdict(tmp_path, error, verdict, exit_code, reason):
    outcome = played(raising(error), tmp_path=tmp_path)
    assert (outcome.verdict, outcome.exit_code) == (verdict, exit_code)
    assert reason in outcome.reason


@pytest.mark.parametrize("value", [{1, 2}, b"bytes", float("nan"), object()])
def test_a_record_that_is_not_json_serializable_is_a_failure(tmp_path, value):
    outcome = played(lambda lab: {"a": value}, tmp_path=tmp_path)
    assert (outcome.verdict, outcome.record) == ("fail", {})
    assert outcome.reason.startswith(("TypeError", "ValueError"))
    assert json.loads((outcome.folder / "record.json").read_text())["verdict"] == "fail"


def test_ctrl_c_is_raised_and_recorded(tmp_path):
    with pytest.raises(KeyboardInterrupt):
        played(raising(KeyboardInterrupt()), tmp_path=tmp_path)
    kept = json.loads((tmp_path / "latest" / "record.json").read_text())
    assert (kept["verdict"], kept["reason"]) == ("fail", "interrupted")


def test_a_lab_that_cannot_be_reached_is_no_verdict_of_the_scenario(tmp_path):
    def unreachable(observe):
        raise EnvironmentFailure("no engine")

    with pytest.raises(EnvironmentFailure, match="no engine"):
        play(scenario(lambda lab: {}), unreachable, ignore, tmp_path)
    assert json.loads((tmp_path / "latest" / "record.json").read_text())["verdict"] == "fail"


def test_the_same_seed_gives_the_same_choices(tmp_path):
    def run(lab):
        return {"numbers": [lab.random.random() for _ in range(3)]}

    first = played(run, tmp_path=tmp_path)
    seed = json.loads((first.folder / "record.json").read_text())["seed"]
    assert played(run, tmp_path=tmp_path, seed=seed).record == first.record
    assert played(run, tmp_path=tmp_path, seed=seed + 1).record != first.record


def test_events_are_written_and_observed_as_they_happen(tmp_path):
    seen = []

    def run(lab):
        lab.note("a note")
        assert [event.text for event in seen] == ["a note"]
        return {}

    outcome = play(scenario(run), no_hosts, seen.append, tmp_path)
    lines = (outcome.folder / "events.jsonl").read_text().splitlines()
    assert [from_json(json.loads(line)) for line in lines] == seen
    assert [event.kind for event in seen] == ["note", "verdict"]


def test_simultaneous_runs_get_different_folders(tmp_path):
    folders = {played(lambda lab: {}, tmp_path=tmp_path).folder for _ in range(20)}
    assert len(folders) == 20


def test_a_lab_without_the_nodes_of_the_topology_is_unsupported_and_nothing_is_run(tmp_path):
    wants = replace(scenario(raising(AssertionError("it ran"))), topology="default")
    outcome = play(wants, no_hosts, ignore, tmp_path)
    assert (outcome.verdict, outcome.exit_code) == ("unsupported", 3)
    assert "it needs the topology default, and this lab has no node server, client, router" in outcome.reason
    assert "`lab run made-up` without -p" in outcome.reason


def test_in_the_runner_a_scenario_with_a_topology_is_unsupported(tmp_path, monkeypatch):
    monkeypatch.setattr(topologies, "FOLDER", tmp_path / "not mounted there")
    wants = replace(scenario(raising(AssertionError("it ran"))), topology="star")
    assert play(wants, no_hosts, ignore, tmp_path).verdict == "unsupported"


def test_a_node_of_the_default_topology_that_a_lab_lacks_is_unsupported_and_an_unknown_name_is_a_failure(
    tmp_path,
):
    outcome = played(lambda lab: lab.client.run("true"), tmp_path=tmp_path)
    assert (outcome.verdict, outcome.reason.partition(";")[0]) == ("unsupported", "no node 'client'")
    outcome = played(lambda lab: lab.sever.run("true"), tmp_path=tmp_path)
    assert (outcome.verdict, outcome.reason.partition(";")[0]) == ("fail", "no node 'sever'")


def test_a_lab_without_the_profile_is_unsupported_and_nothing_is_run(tmp_path):
    wants = replace(scenario(raising(AssertionError("it ran"))), profile="windows")
    outcome = play(wants, no_hosts, ignore, tmp_path)
    assert (outcome.verdict, outcome.exit_code) == ("unsupported", 3)
    assert "without the profile windows; `lab up --profile windows`" in outcome.reason
