"""docs/testing.md: its examples are run, and it lists every option, keyword and assertion."""

import re
import shutil
from pathlib import Path

import pytest

from lab.testing import options
from lab.testing.expectations.hosts import HostExpectation
from lab.testing.expectations.packets import Filter, PacketsExpectation
from lab.testing.expectations.programs import ProgramExpectation
from lab.testing.markers import marks, needs

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs/testing.md").read_text(encoding="utf-8")
OPTIONS = ("-p", "lab.testing.plugin", "-p", "no:cacheprovider", "-p", "no:hypothesispytest")


def blocks(language):
    return re.findall(rf"^```{language}\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)


@pytest.mark.lab
def test_the_examples_pass_and_a_failure_looks_as_shown(pytester, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    pytester.path.chmod(0o755)  # the hosts read it as another user
    shutil.copy(ROOT / "templates/lab.toml", pytester.path)
    for number, source in enumerate(blocks("python")):
        (pytester.path / f"test_example_{number}.py").write_text(source, encoding="utf-8")
    (pytester.path / "tests").mkdir()
    failing = "def test_it(lab): lab.client.run('nc -zw 1 server 9999', check=True)"
    (pytester.path / "tests/test_lab.py").write_text(failing)
    result = pytester.runpytest_subprocess(*OPTIONS, "--lab-seed", "7", timeout=100)
    result.assert_outcomes(passed=8, failed=1)
    (shown,) = blocks("text")
    assert shown in result.stdout.str() + "\n"


def test_every_option_and_keyword_is_in_a_table():
    rows = " ".join(line.split(" | ")[0] for line in PAGE.splitlines() if line.startswith("| `"))
    for name in [f"--{option.name}" for option in options.options()] + [f"{key}=" for key in marks.KEYWORDS]:
        assert re.search(rf"`{name}\b|`{name}", rows), name


def test_every_need_property_and_assertion_is_named():
    names = [*needs.KNOWN, *Filter.__dataclass_fields__]
    for kind in (HostExpectation, ProgramExpectation, PacketsExpectation):
        names += [name for name in vars(kind) if not name.startswith("_")]
    for name in names:
        assert re.search(rf"\b{name}\b", PAGE), name
