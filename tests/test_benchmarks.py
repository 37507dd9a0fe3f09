"""The arithmetic, the texts and the command line of the benchmarks. No test measures anything."""

import json
import socket
import subprocess
import sys
import threading
from contextlib import contextmanager, suppress

import pytest
from rich.console import Console
from typer.testing import CliRunner

from benchmarks import __main__ as program
from benchmarks import hosts, report
from benchmarks.load import SIZE
from benchmarks.rig import Rig, peak_in, tool
from benchmarks.table import BITS_PER_SECOND, BYTES, PER_SECOND, SECONDS, CannotMeasure, Table, alternate
from lab.errors import EnvironmentFailure

NAMES = {"up", "hosts", "run", "scenario", "start", "transfer", "command", "echo", "memory", "link"}


def shown(table):
    console = Console(width=200, highlight=False)
    with console.capture() as capture:
        report.show(console, table)
    return capture.get()


def filled(unit, base="scp", **ways):
    table = Table("Copies", unit, base)
    for way, values in ways.items():
        for value in values:
            table.add(way, value)
    return table


@pytest.mark.parametrize(
    ("unit", "words"),
    [
        (SECONDS, "4.00 × slower"),
        (BYTES, "4.00 × larger"),
        (BITS_PER_SECOND, "4.00 × faster"),
        (PER_SECOND, "4.00 × faster"),
    ],
)
def test_the_comparison_shows_factor_and_direction(unit, words):
    table = filled(unit, scp=[2.0, 2.0, 90.0], ours=[8.0, 1.0, 8.0])
    assert table.compared("ours") == words
    assert table.compared("scp") == ""
    assert table.times("ours", "scp") == 4.0


def test_the_comparison_of_a_better_value():
    assert filled(SECONDS, scp=[6.0], ours=[2.0]).compared("ours") == "3.00 × faster"
    assert filled(BITS_PER_SECOND, scp=[6.0], ours=[2.0]).compared("ours") == "3.00 × slower"


@pytest.mark.parametrize(("value", "reached"), [(1.2, True), (1.25, True), (1.26, False), (None, None)])
def test_an_upper_limit(value, reached):
    table = Table("t", SECONDS)
    table.at_most(1.25, "x", value)
    assert table.goals[0].reached is reached


@pytest.mark.parametrize(("value", "reached"), [(3.1, True), (3.0, True), (2.9, False), (None, None)])
def test_a_lower_limit(value, reached):
    table = Table("t", SECONDS)
    table.at_least(3.0, "x", value)
    assert table.goals[0].reached is reached


def test_the_table_shows_medians_ranges_factors_and_goals():
    table = filled(SECONDS, scp=[0.004, 0.002, 0.003], ours=[0.001])
    table.at_least(3.0, "ours, as a multiple", 2.5)
    table.at_most(1.25, "something else", 1.0)
    table.at_most(0.05, "a time", 0.04, SECONDS)
    text = shown(table)
    assert "3.00 ms" in text
    assert "2.00 ms … 4.00 ms" in text
    assert "3.00 × faster" in text
    lines = [line.split() for line in text.splitlines()]
    assert "ours, as a multiple ≥ 3 2.5 83% not reached".split() in lines
    assert "something else ≤ 1.25 1 80% reached".split() in lines
    assert "a time ≤ 50.0 ms 40.0 ms 80% reached".split() in lines


@pytest.mark.parametrize(
    ("unit", "value", "text"),
    [
        (SECONDS, 0.00241, "2.41 ms"),
        (SECONDS, 2.5, "2.50 s"),
        (SECONDS, 3e-6, "3.00 µs"),
        (BITS_PER_SECOND, 6.87e9, "6.87 Gbit/s"),
        (PER_SECOND, 21_900.0, "21.9 k/s"),
        (BYTES, 25.3 * 2**20, "25.3 MiB"),
        (BYTES, 0, "0.00 B"),
    ],
)
def test_values_are_shown_with_prefix_and_unit(unit, value, text):
    assert unit.show(value) == text


def test_ways_alternate_and_the_warm_up_does_not_count():
    calls = []

    def way(name):
        calls.append(name)
        return float(len(calls))

    table = Table("t", SECONDS)
    alternate(table, {name: lambda name=name: way(name) for name in "ab"}, 2)
    assert calls == ["a", "b", "a", "b", "a", "b"]
    assert table.rows == {"a": [3.0, 5.0], "b": [4.0, 6.0]}


@pytest.mark.parametrize(
    "error",
    [
        CannotMeasure("rsync isn't on this machine"),
        EnvironmentFailure("rsync isn't on this machine"),
        subprocess.CalledProcessError(127, "rsync", stderr=b"warning\nrsync isn't on this machine\n"),
        FileNotFoundError("rsync isn't on this machine"),
    ],
)
def test_a_way_that_fails_is_reported_and_the_others_are_measured(error):
    calls = []

    def fails():
        calls.append(1)
        if len(calls) == 2:  # then its earlier value doesn't count
            raise error
        return 1.0

    table = Table("t", SECONDS)
    alternate(table, {"rsync": fails, "scp": lambda: 2.0}, 4, warm_up=False)
    assert len(calls) == 2
    assert table.rows == {"scp": [2.0] * 4}
    assert "rsync isn't on this machine" in table.missing["rsync"]
    assert "rsync: not measured: " in shown(table)
    assert not table.complete


def test_a_bug_in_a_benchmark_is_raised():
    with pytest.raises(ZeroDivisionError):
        alternate(Table("t", SECONDS), {"a": lambda: 1 / 0}, 1)


def test_a_table_without_the_value_of_a_goal_is_incomplete():
    table = filled(BITS_PER_SECOND, ours=[5.0])
    table.at_least(3.0, "as a multiple of scp", table.times("ours", "scp"))
    assert table.compared("ours") == ""
    assert "as a multiple of scp ≥ 3 – – not measured".split() in [
        each.split() for each in shown(table).splitlines()
    ]
    assert not table.complete


@pytest.mark.parametrize(("text", "value"), [("512B", 512), ("5.5MiB", 5.5 * 2**20), ("1GiB", 2**30)])
def test_memory_as_docker_stats_shows_it(text, value):
    assert hosts.in_bytes(text) == value


@pytest.mark.parametrize("text", ["--", "5.5", "5.5MB", ""])
def test_any_other_memory_cannot_be_measured(text):
    with pytest.raises(CannotMeasure, match="docker stats shows"):
        hosts.in_bytes(text)


def test_a_tool_that_is_not_installed_is_a_note(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    table = Table("Hosts", SECONDS)
    assert hosts.others(3, tmp_path, table) == {}
    assert table.notes == [f"{name}: not installed on this machine" for name in ("containerlab", "mn")]


def test_a_missing_tool_is_named():
    with pytest.raises(CannotMeasure, match="no-such-tool isn't installed on this machine"):
        tool("no-such-tool")


def test_peak_memory_is_read_from_proc_status():
    assert peak_in("VmPeak:\t  99 kB\nVmHWM:\t   25900 kB\nVmRSS:\t 1 kB\n") == 25900 * 1024
    with pytest.raises(CannotMeasure):
        peak_in("VmRSS:\t 1 kB\n")


def test_the_goals_of_all_benchmarks_are_shown_together():
    fast, slow = Table("a", SECONDS), Table("b", SECONDS)
    fast.at_most(0.2, "lab --help", 0.1, SECONDS)
    slow.at_most(1.25, "lab up", None)
    console = Console(width=200, highlight=False)
    with console.capture() as capture:
        report.show_all_goals(console, {"start": [fast], "up": [slow], "load": [Table("c", SECONDS)]})
    lines = [line.split() for line in capture.get().splitlines()]
    assert "start: lab --help ≤ 200 ms 100 ms 50% reached".split() in lines
    assert "up: lab up ≤ 1.25 – – not measured".split() in lines


def test_the_catalog_finds_all_benchmarks_with_a_title():
    found = program.catalog()
    assert NAMES <= set(found)
    assert all(program.title(measure) for measure in found.values())


def test_list_shows_all_benchmarks():
    result = CliRunner().invoke(program.app, ["--list"])
    assert result.exit_code == 0
    assert NAMES <= {line.split()[0] for line in result.stdout.splitlines()}


def test_an_unknown_name_is_refused_with_a_list():
    result = CliRunner().invoke(program.app, ["no-such"])
    assert result.exit_code == 2
    assert "no-such" in result.stdout
    assert "transfer" in result.stdout


@pytest.fixture
def catalog(monkeypatch):
    """Replaces our benchmarks by some that need no lab."""

    def put(**measures):
        monkeypatch.setattr(program, "catalog", lambda: measures)

    return put


def copies(rig):
    table = filled(SECONDS, scp=[3.0] * rig.rounds(5), ours=[1.0])
    table.at_least(3.0, "as often as scp", table.factor("ours"))
    yield table


def half(rig):
    yield filled(SECONDS, scp=[1.0])
    raise EnvironmentFailure("no Docker Engine answers")


def test_json_has_all_values_and_the_machine(catalog, tmp_path):
    catalog(copies=copies)
    path = tmp_path / "new" / "result.json"
    result = CliRunner().invoke(program.app, ["--rounds", "2", "--json", str(path)])
    assert result.exit_code == 0, result.stdout
    content = json.loads(path.read_text())
    (table,) = content["benchmarks"]["copies"]
    assert table["rows"]["scp"]["values"] == [3.0, 3.0]
    assert table["rows"]["ours"]["factor"] == 3.0
    assert table["goals"] == [
        {"text": "as often as scp", "unit": "", "value": 3.0, "limit": 3.0, "at_most": False, "reached": True}
    ]
    assert {"cpu", "cores", "kernel", "load_average", "load_average_after"} <= set(content["machine"])
    assert {"python", "engine", "compose", "python-paramiko"} <= set(content["versions"])


def test_a_failed_benchmark_is_reported_and_the_others_run(catalog, tmp_path):
    catalog(half=half, copies=copies)
    path = tmp_path / "result.json"
    result = CliRunner().invoke(program.app, ["--json", str(path)])
    assert result.exit_code == 1
    assert "half: not measured: no Docker Engine answers" in result.stdout
    content = json.loads(path.read_text())["benchmarks"]
    assert content["half"][0]["rows"]["scp"]["values"] == [1.0]
    assert content["half"][1]["missing"] == {"half": "no Docker Engine answers"}
    assert content["copies"][0]["rows"]["ours"]["values"] == [1.0]


def test_a_missed_goal_is_no_failure(catalog, tmp_path):
    def slow(rig):
        table = filled(SECONDS, scp=[1.0], ours=[5.0])
        table.at_least(3.0, "as often as scp", table.factor("ours"))
        yield table

    catalog(slow=slow)
    result = CliRunner().invoke(program.app, ["--json", str(tmp_path / "result.json")])
    assert result.exit_code == 0
    assert "not reached" in result.stdout


def test_an_unwritable_result_file_is_reported(catalog, tmp_path):
    catalog(copies=copies)
    (tmp_path / "file").touch()
    result = CliRunner().invoke(program.app, ["--json", str(tmp_path / "file" / "result.json")])
    assert result.exit_code == 1
    assert "the values are lost" in result.stdout


def test_no_lab_is_started_unless_used():
    with Rig() as rig:
        assert rig.rounds(7) == 7
    assert Rig(3).rounds(7) == 3


@contextmanager
def echoing(answer):
    """A server for one connection. It answers each chunk with ``answer(chunk)``, in two parts."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve():
            connection, _ = listener.accept()
            with connection, suppress(ConnectionError):  # the load may close early
                while data := connection.recv(SIZE):
                    data = answer(data)
                    connection.sendall(data[:10])
                    connection.sendall(data[10:])

        thread = threading.Thread(target=serve)
        thread.start()
        yield listener.getsockname()[1]
        thread.join(10)


def run_load(port, connections, messages):
    argv = [sys.executable, "-I", program.benchmarks.__path__[0] + "/load.py"]
    argv += ["127.0.0.1", str(port), str(connections), str(messages)]
    return subprocess.run(argv, capture_output=True, text=True, timeout=60)


def test_the_load_counts_verified_answers():
    with echoing(bytes.upper) as port:
        done = run_load(port, 1, 20)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["answered"] == 20


def test_the_load_refuses_a_wrong_answer():
    with echoing(bytes.lower) as port:
        done = run_load(port, 1, 20)
    assert done.returncode != 0
    assert "the server answered" in done.stderr
    assert not done.stdout
