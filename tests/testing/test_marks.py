"""The markers: the choice of a test's lab, and mistakes that are refused when tests are collected."""

import re

import pytest

from tests.testing.conftest import OPTIONS

KINDS = """
import pytest
from lab.testing import hooks

@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config, items):
    for item in items:
        kind = item.stash.get(hooks.KIND, None)
        marks = item.stash.get(hooks.MARKS, None)
        groups = [mark.args[0] for mark in item.iter_markers("xdist_group")]
        limits = [(mark.args, mark.kwargs) for mark in item.iter_markers("timeout")]
        path = kind and kind.description
        own = path and path.is_relative_to(config.rootpath)
        file = path and (str(path.relative_to(config.rootpath)) if own else path.stem)
        found = (file, kind and kind.profile, marks, groups, limits)
        item.config.stash.setdefault(SEEN, {})[item.name] = found

SEEN = pytest.StashKey()
"""


@pytest.fixture
def collected(pytester):
    """Collects a file of tests. Returns description, profile, marks, groups and limits by the test's name."""

    def collect(text, *words, path="test_it.py"):
        file = pytester.path / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
        pytester.makeconftest(KINDS)
        seen = {}

        class Keep:
            def pytest_collection_finish(self, session):
                (module,) = [
                    plugin for plugin in session.config.pluginmanager.get_plugins() if hasattr(plugin, "SEEN")
                ]
                seen.update(session.config.stash[module.SEEN])

        result = pytester.inline_run(*OPTIONS, "--collect-only", "-q", *words, plugins=[Keep()])
        assert result.ret == 0
        return seen

    return collect


@pytest.fixture
def refused(pytester, session):
    """The error of a collection that is refused."""

    def collect(text, *words):
        pytester.makepyfile(text)
        result = session(*words)
        assert result.ret == pytest.ExitCode.USAGE_ERROR, result.stdout.str()
        return result.stderr.str().strip()

    return collect


def test_without_a_description_a_test_gets_the_default_topology(collected):
    found = collected("def test_one(lab): pass\ndef test_two(): pass")
    assert found["test_one"][:2] == ("default", "")
    assert found["test_two"][0] is None


def test_a_description_is_found_in_the_tests_folder_or_above(collected, pytester):
    for folder in ("", "a", "a/b"):
        (pytester.path / folder).mkdir(exist_ok=True)
    (pytester.path / "lab.toml").write_text("[hosts.root]")
    (pytester.path / "a/lab.toml").write_text("[hosts.alice]")
    assert collected("def test_1(lab): pass")["test_1"][0] == "lab.toml"
    found = collected("def test_2(lab): pass", path="a/b/test_deep_below.py")
    assert found["test_2"][0] == "a/lab.toml"
    assert found["test_2"][3] == [f"topology {pytester.path}/a/lab.toml"], "one worker plays it"
    assert found["test_1"][3] == []
    found = collected("def test_3(lab): pass", "--lab-file", "star", path="a/test_deep.py")
    assert found["test_3"][0] == "star"


def test_a_marker_chooses_the_lab_on_a_function_a_class_and_a_module(collected, pytester):
    (pytester.path / "own.toml").write_text("[hosts.alice]")
    text = """
import pytest
pytestmark = pytest.mark.lab(topology="star")

def test_module(lab): pass

@pytest.mark.lab(profile="windows")
class TestClass:
    def test_class(self, lab): pass

    @pytest.mark.lab(file="own.toml", timeout=3)
    def test_function(self, lab): pass
"""
    found = collected(text)
    assert found["test_module"][:2] == ("star", "")
    assert found["test_class"][:2] == ("star", "windows")
    assert found["test_function"][:2] == ("own.toml", "windows")
    assert found["test_function"][4] == [((3,), {"func_only": True})]
    assert found["test_class"][3] == ["topology star windows"]


def test_a_parameter_has_a_marker_of_its_own(collected):
    text = """
import pytest

@pytest.mark.lab(link=dict(delay=0.02))
@pytest.mark.parametrize("x", [pytest.param(1, marks=pytest.mark.lab(link=dict(loss=0.1))), 2])
def test_marked(lab, x): pass

@pytest.mark.parametrize("lab", [dict(link=dict(loss=0.2)), dict(topology="star")], indirect=True)
def test_indirect(lab): pass
"""
    found = collected(text)
    assert found["test_marked[1]"][2].link == {"loss": 0.1}
    assert found["test_marked[2]"][2].link == {"delay": 0.02}
    assert found["test_indirect[lab0]"][2].link == {"loss": 0.2}
    assert found["test_indirect[lab1]"][0] == "star"


def test_tests_of_one_lab_are_together_and_the_usual_lab_comes_first(collected):
    text = """
import pytest
star = pytest.mark.lab(topology="star")
@star
def test_a(lab): pass
def test_b(lab): pass
def test_c(): pass
@star
def test_d(lab): pass
"""
    assert list(collected(text)) == ["test_b", "test_c", "test_a", "test_d"]


def test_every_test_with_the_fixture_has_the_marker(pytester, session):
    pytester.makepyfile("def test_with(lab): pass\ndef test_without(): pass")
    result = session("--strict-markers", "--collect-only", "-q", "-m", "not lab")
    result.stdout.fnmatch_lines(["*::test_without", "1/2 tests collected (1 deselected)*"])


@pytest.mark.parametrize(
    ("marks", "error"),
    [
        (
            "lab(topolgy='star')",
            "unknown keyword 'topolgy'; there are topology, file, profile, link, timeout",
        ),
        ("lab('star')", "the marker takes keywords only: topology, file, profile, link, timeout"),
        ("lab(topology='nowhere')", "no topology 'nowhere'; there are: "),
        ("lab(topology='star', file='lab.toml')", "give a topology or a file, not both"),
        ("lab(topology=3)", "topology=3: expected a name"),
        ("lab(file='no.toml')", "/no.toml, and no topology of that name"),
        ("lab(timeout='long')", "timeout='long': expected seconds above 0"),
        ("lab(timeout=0)", "timeout=0: expected seconds above 0"),
        ("lab(link=0.1)", "link=0.1: expected a dict"),
        ("lab(link=dict(los=0.1))", "link: unknown setting 'los'; there are delay, jitter, loss, "),
        ("lab(link=dict(loss=2))", "link: loss must be from 0 to 1"),
        ("lab(link={'to-servers': dict(rate=1)})", "link: rate must be "),
        ("lab(link={('a', 'b'): 3})", "expected a dict for each link"),
        (
            "lab(link={'to-servers': {}, 'loss': 0.1})",
            "link: give settings for each direction or for both, not 'loss' too",
        ),
        (
            "lab(link={('a', 'b'): {}, 'loss': 0.1})",
            "link: give settings for each link or for one, not 'loss' too",
        ),
        ("parametrize('lab', [{}])", 'parametrize("lab", …) needs indirect=True'),
        ("parametrize(('lab',), [({},)], indirect=[])", 'parametrize("lab", …) needs indirect=True'),
        ("lab(link=dict(direction='servers'))", "link: no direction 'servers': expected to-SEGMENT or both"),
    ],
)
def test_a_mistake_in_a_marker_is_one_line_that_names_the_test(refused, marks, error):
    found = refused(f"import pytest\n@pytest.mark.{marks}\ndef test_it(lab): pass")
    assert found.startswith("ERROR: ")
    assert re.search(r"\.py::test_it(\[.*\])?: @pytest.mark.lab: ", found)
    assert error in found
    assert "\n" not in found


def test_a_marker_of_a_test_without_the_fixture_is_refused(refused):
    found = refused("import pytest\n@pytest.mark.lab(topology='star')\ndef test_it(): pass")
    assert found.endswith("::test_it: @pytest.mark.lab: the test doesn't have the fixture lab as an argument")


def test_a_marker_of_a_module_need_not_concern_every_test(collected):
    text = "import pytest\npytestmark = pytest.mark.lab(topology='star')\ndef test_it(): pass"
    assert "test_it" in collected(text)


def test_an_unknown_need_is_refused(refused):
    found = refused("import pytest\n@pytest.mark.needs('netm')\ndef test_it(lab): pass")
    assert found.endswith("::test_it: needs('netm'): there are netem, nfqueue, hostname, ipv6, ssh")


def test_a_parameter_of_another_type_is_refused(refused):
    text = "import pytest\n@pytest.mark.parametrize('lab', [3], indirect=True)\ndef test_it(lab): pass"
    assert "a parameter of the fixture lab must be a dict of the marker's keywords" in refused(text)


def test_a_limit_needs_the_package_that_enforces_it(refused):
    text = "import pytest\n@pytest.mark.lab(timeout=3)\ndef test_it(lab): pass"
    assert refused(text, "-p", "no:timeout").endswith("timeout= needs the package pytest-timeout")


def test_with_several_workers_a_mistake_is_reported_too(pytester, apart):
    pytester.makepyfile("import pytest\n@pytest.mark.lab(los=1)\ndef test_it(lab): pass")
    result = apart("-n", "1")
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    result.stdout.fnmatch_lines(["*::test_it: @pytest.mark.lab: unknown keyword 'los'; there are *"])
