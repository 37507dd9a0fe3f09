"""The reports of tests with a lab, which isn't there: no engine is needed."""

from contextlib import contextmanager
from pathlib import Path

import pytest

from lab.errors import EnvironmentFailure
from lab.locale import message
from lab.testing import hooks
from lab.testing.isolation import LabTest
from lab.testing.lab_kind import LabKind
from lab.testing.lab_session import LabSession

TAKEN = message("another run is on this lab: wait until it ends, or start another lab with `lab up -p NAME`")
OUTCOMES = """
import pytest

@pytest.mark.xfail(strict=True)
def test_passes(lab):
    pass

@pytest.fixture
def late(request, lab):
    yield
    request.param("in tear-down")

@pytest.mark.parametrize("late", [pytest.skip, pytest.xfail], indirect=True, ids=["skip", "xfail"])
def test_ends(late):
    pass

def test_parts(lab, subtests):
    with subtests.test("first"):
        assert False
    with subtests.test("second"):
        pytest.skip("not today")
"""


class TakenLab:
    """A lab that another session has reserved, until it is asked for the second time."""

    asked = 0

    @contextmanager
    def claimed(self):
        self.asked += 1
        if self.asked == 1:
            raise EnvironmentFailure(TAKEN)
        yield


@pytest.fixture
def without_lab(monkeypatch, tmp_path):
    """Tests get a fixture without a lab, and have no evidence."""

    def lab_for(item, temporary):
        folder = item.config.rootpath / "lab-artifacts/test"
        item.stash[hooks.LAB_TEST] = LabTest(item.nodeid, item.stash[hooks.MARKS], 7, temporary, folder)
        yield None

    monkeypatch.setattr(hooks, "lab_for", lab_for)


@pytest.fixture
def taken(monkeypatch):
    """Another session uses the lab."""
    session = LabSession(LabKind(Path("lab.toml")), "taken")
    session._lab = TakenLab()
    monkeypatch.setattr(hooks, "sessions", lambda config: {hooks.plain_kind(config): session})


def test_failures_without_an_exception_are_reported(pytester, session, without_lab):
    pytester.makepyfile(OUTCOMES)
    result = session()
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    output = result.stdout.str()
    assert "INTERNALERROR" not in output
    assert "[XPASS(strict)]" in output
    assert "1 error" not in output
    # Of the strict xfail and of the subtest that failed, and of the test with that subtest.
    assert 2 <= output.count("repeat with: --lab-seed 7") <= 3, output


def test_the_cause_of_an_error_for_the_user_is_not_shown(pytester, session, without_lab):
    pytester.makepyfile(
        """
        from lab.errors import EnvironmentFailure

        def test_it(lab):
            try:
                {}["deep in a library"]
            except KeyError as error:
                raise EnvironmentFailure("no engine") from error
        """
    )
    output = session().stdout.str()
    assert "EnvironmentFailure: no engine" in output
    assert "direct cause" not in output
    assert "KeyError" not in output.replace("except KeyError", "")


def test_a_folder_that_cannot_be_written_is_a_usage_error(pytester, session):
    (pytester.path / "lab-artifacts").touch()
    pytester.makepyfile("def test_it(lab): pass")
    result = session()
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["ERROR: --lab-artifacts: the evidence can't be kept: *Not a directory*"])
    pytester.makepyfile("def test_it(): pass")
    assert session().ret == 0


def test_the_report_names_no_file_that_cannot_be_written(pytester, session, without_lab):
    pytester.makepyfile(
        "from pathlib import Path\ndef test_it(lab):\n    Path('lab-artifacts').touch()\n    assert False"
    )
    result = session()
    result.stdout.fnmatch_lines(["the evidence can't be kept: *Not a directory*"])
    assert "trace: " not in result.stdout.str()


@pytest.mark.parametrize(
    ("language", "text"), [("C", "another run is on this lab: wait until"), ("zh_CN.UTF-8", None)]
)
def test_each_test_says_in_the_readers_language_that_the_lab_is_taken(
    pytester, session, taken, monkeypatch, language, text
):
    monkeypatch.setenv("LC_ALL", language)
    pytester.makepyfile("def test_1(lab): pass\ndef test_2(request): request.getfixturevalue('lab')")
    result = session()
    output = result.stdout.str()
    assert (text or TAKEN.in_language("zh-CN")) in output
    assert output.count(text or TAKEN.in_language("zh-CN")) >= 2
    assert "Traceback" not in output
    assert "KeyError" not in output
    assert result.parseoutcomes().get("passed", 0) == 0
