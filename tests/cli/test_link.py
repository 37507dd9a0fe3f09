"""`lab link` as a user types it."""

import os
import subprocess
import sys

import pytest

pytestmark = pytest.mark.lab


@pytest.fixture
def link(lab_topology):
    def run(*words):
        argv = [sys.executable, "-m", "lab", "link", *words, "-p", lab_topology.project]
        environment = {**os.environ, "COLUMNS": "200", "NO_COLOR": "1"}
        return subprocess.run(argv, env=environment, capture_output=True, text=True, timeout=60)

    yield run
    assert run("clear").returncode == 0


def test_set_measures_show_tells_clear_heals(link):
    done = link("set", "--delay", "20ms", "--loss", "10%", "--seed", "3")
    assert done.returncode == 0, done.stderr
    assert "both ways: 20 ms, 10% loss" in done.stdout
    rows = [line.split() for line in done.stdout.splitlines()]
    assert [row[:3] for row in rows if row[0] == "to-servers"] == [
        ["to-servers", "loss", "10%"],
        ["to-servers", "delay", "20.00"],
    ]
    shown = link("show").stdout
    assert "20 ms, 10% loss" in shown
    assert " packets, " in shown
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


def test_drop_tells_what_it_waits_for(link):
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
        (["drop", "1", "--flags", "SYM"], "SYM"),
        (["drop", "1", "--protocol", "sctp"], "sctp"),
    ],
)
def test_nonsense_is_told_in_one_line(link, words, named):
    done = link(*words)
    assert done.returncode == 2
    assert done.stdout == ""
    (line,) = done.stderr.splitlines()
    assert line.startswith("lab: ")
    assert named in line


def test_what_a_backend_cannot_do_is_exit_code_3(link):
    done = link("set", "--backend", "statistic", "--delay", "20ms")
    assert done.returncode == 3
    assert "delay" in done.stderr
