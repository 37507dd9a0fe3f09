"""The plugin's options: on the command line, in the configuration file, and in the session's header."""

import pytest


@pytest.fixture(autouse=True)
def file(pytester):
    """A test that needs no lab."""
    return pytester.makepyfile("def test_without_a_lab(): pass")


@pytest.fixture
def header(session):
    """The line of the plugin in the header of a session."""

    def line(*words):
        result = session(*words)
        assert result.ret == 0
        (found,) = [line for line in result.outlines if line.startswith("lab: ")]
        return found

    return line


def test_help_has_a_group_with_all_options(session):
    result = session("--help")
    result.stdout.fnmatch_lines(["lab: hosts and links for tests (Socket Lab):"])
    for name in ("file", "keep", "trace", "artifacts", "seed", "unsupported"):
        result.stdout.fnmatch_lines([f"*--lab-{name}*"])
        result.stdout.fnmatch_lines([f"*lab_{name} (*"])
    result.stdout.fnmatch_lines(["*--lab=NAME*"])


def test_help_is_in_the_readers_language(session, monkeypatch):
    monkeypatch.setenv("LC_ALL", "zh_CN.UTF-8")
    session("--help").stdout.fnmatch_lines(["lab：供测试使用的主机和链路*"])


def test_the_header_is_one_line_with_the_seed(header):
    line = header()
    assert int(line.partition("seed ")[2].partition(",")[0]) >= 0
    assert line.endswith("trace retain-on-failure, artifacts in lab-artifacts")
    assert header() != line, "another session has another seed"
    assert header("--lab-seed", "7", "--lab-trace", "off") == (
        "lab: seed 7, trace off, artifacts in lab-artifacts"
    )


def test_the_command_line_comes_before_the_configuration_file(header, pytester):
    pytester.makeini(
        "[pytest]\nlab_seed = 5\nlab_trace = on\nlab_artifacts = kept\nlab_file = star\nlab = up"
    )
    assert header() == "lab: lab up, description star, seed 5, trace on, artifacts in kept"
    words = (
        "--lab-seed",
        "6",
        "--lab-trace",
        "off",
        "--lab-artifacts",
        "here",
        "--lab-file",
        "x",
        "--lab",
        "y",
    )
    assert header(*words) == "lab: lab y, description x, seed 6, trace off, artifacts in here"


@pytest.mark.parametrize(
    ("words", "error"),
    [
        (("--lab-seed", "x"), "--lab-seed 'x': expected a whole number"),
        (("--lab-trace", "maybe"), "--lab-trace: invalid choice: 'maybe'*"),
        (("-o", "lab_trace=maybe"), "lab_trace = maybe: choose from on, off, retain-on-failure"),
        (("-o", "lab_unsupported=x"), "lab_unsupported = x: choose from fail, skip"),
        (("--lab", "up", "-n", "2"), "--lab names one lab, and each worker needs its own: leave out -n"),
        (("-o", "lab=up", "-n", "2"), "--lab names one lab, and each worker needs its own: leave out -n"),
    ],
)
def test_an_invalid_value_is_one_line(session, words, error):
    result = session(*words)
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines([f"ERROR: {error}" if "choice" not in error else f"*{error}"])


def test_an_unknown_description_is_refused_when_a_test_needs_it(session, pytester):
    assert session("--lab-file", "nowhere.toml").ret == 0
    pytester.makepyfile("def test_it(lab): pass")
    result = session("--lab-file", "nowhere.toml")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["ERROR: --lab-file: no file */nowhere.toml, and no topology of that name*"])


def test_a_session_without_a_lab_imports_none_of_it(pytester, apart):
    pytester.makepyfile(
        """
        import sys

        def test_it():
            heavy = {"docker", "paramiko", "jinja2", "dpkt", "rich", "lab.control", "lab.engine"}
            assert heavy & sys.modules.keys() == set()
        """
    )
    assert apart().ret == 0
