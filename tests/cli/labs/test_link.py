"""`lab link` as a user types it."""

import json
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import pytest

from lab.control.transport import from_engine

pytestmark = pytest.mark.lab


@pytest.fixture
def link(lab_topology):
    def run(*words):
        argv = [sys.executable, "-m", "lab", "link", *words, "-p", lab_topology.project]
        environment = {**os.environ, "COLUMNS": "200", "NO_COLOR": "1"}
        return subprocess.run(argv, env=environment, capture_output=True, text=True, timeout=60)

    yield run
    assert run("clear").returncode == 0


def test_set_measures_show_reports_clear_heals(link):
    done = link("set", "--delay", "20ms", "--loss", "10%", "--seed", "3")
    assert done.returncode == 0, done.stderr
    assert "The link clients–servers is now: both ways: 20 ms, 10% loss." in done.stdout
    rows = [line.split() for line in done.stdout.splitlines()]
    assert [row[:3] for row in rows if row[0] == "to-servers"] == [
        ["to-servers", "loss", "10%"],
        ["to-servers", "delay", "20.00"],
    ]
    shown = link("show").stdout
    assert "20 ms, 10% loss" in shown
    assert " packets, " in shown
    (found,) = json.loads(link("show", "--json").stdout)["links"]
    assert (found["link"], found["alive"], found["cut"], found["drops"]) == ("clients–servers", True, [], [])
    assert found["impairments"]["to-servers"]["loss"] == 0.1
    assert found["counters"]["to-servers"]["packets"] > 0
    assert link("clear").stdout == "The link is unimpaired.\n"
    assert "unimpaired" in link("show").stdout


def test_the_same_seed_loses_the_same_packets(link):
    counts = []
    for _ in range(2):
        link("set", "--loss", "50%", "--seed", "9")
        counts.append([line for line in link("show").stdout.splitlines() if "lost" in line])
    assert counts[0]
    assert [c.split(";")[0] for c in counts[0]] == [c.split(";")[0] for c in counts[1]]


def test_partition_one_way_then_heal(link):
    done = link("partition", "to-clients")
    assert done.returncode == 0, done.stderr
    assert "to-clients: cut" in done.stdout
    assert "100%" in done.stdout
    assert "unimpaired" in link("heal").stdout


def test_verify_gives_the_table_and_its_exit_code(link):
    link("set", "--delay", "30ms", "--direction", "to-servers", "--no-verify")
    done = link("verify")
    assert done.returncode == 0, done.stderr
    assert done.stdout.split()[:6] == ["direction", "what", "asked", "measured", "interval", "ok"]
    assert "no" not in done.stdout.split()


def test_drop_shows_its_settings_and_counters(link):
    done = link("drop", "3", "--flags", "SYN", "--port", "8001")
    assert "drop number 3 of: SYN tcp port 8001 both: 0 matched, 0 dropped" in done.stdout


@pytest.mark.parametrize(
    ("words", "named"),
    [
        (["set", "--delay", "abc"], "abc"),
        (["set", "--delay", "11s"], "delay"),
        (["set", "--loss", "120%"], "loss"),
        (["set", "--jitter", "1ms"], "jitter"),
        (["set", "--reordering", "5%"], "reordering"),
        (["set", "--rate", "3"], "rate"),
        (["set", "--direction", "up", "--loss", "1%"], "up"),
        (["set", "--backend", "tc"], "tc"),
        (["partition", "sideways"], "sideways"),
        (["partition", "to-office"], "this link has to-clients, to-servers, both"),
        (["drop", "1", "--flags", "SYM"], "SYM"),
        (["drop", "1", "--protocol", "sctp"], "sctp"),
    ],
)
def test_an_invalid_setting_is_reported_in_one_line(link, words, named):
    done = link(*words)
    assert done.returncode == 2
    assert done.stdout == ""
    (line,) = done.stderr.splitlines()
    assert line.startswith("lab: ")
    assert named in line


def test_a_setting_that_the_backend_lacks_is_exit_code_3(link):
    done = link("set", "--backend", "statistic", "--delay", "20ms")
    assert done.returncode == 3
    assert "delay" in done.stderr


def test_a_link_in_a_run_can_only_be_shown(link, lab_topology):
    refused = (["set", "--delay", "1ms"], ["partition"], ["heal"], ["drop", "1"], ["clear"], ["verify"])
    with from_engine(lab_topology.project) as lab, lab.claimed():
        lab.link.set(delay=0.01, verify=False)
        with ThreadPoolExecutor() as pool:  # each waits a while for the run to end
            for done in pool.map(lambda words: link(*words), refused):
                assert (done.returncode, done.stdout) == (3, "")
                (line,) = done.stderr.splitlines()
                assert line.startswith("lab: another run is on this lab")
        assert "10 ms" in link("show").stdout
