"""The socket reference says what is so: its pages are of a recorded run, and one of today is the same."""

import copy
import json
import re

import pytest
from typer.testing import CliRunner

from lab.control import scenarios
from lab.control.lessons import LANGUAGES
from lab.pages import reference

CHINESE = re.compile("[\u4e00-\u9fff]")


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A copy of docs/reference, to be spoilt."""
    for path in reference.FOLDER.iterdir():
        (tmp_path / path.name).write_text(path.read_text())
    monkeypatch.setattr(reference, "FOLDER", tmp_path)
    return tmp_path


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_page_is_what_the_recording_gives(language):
    page = (reference.FOLDER / reference.page_of(language)).read_text()
    assert page == reference.rendered(language)


@pytest.mark.parametrize("scenario", reference.TABLES.values())
def test_the_recording_passes_the_check_of_today(scenario):
    scenarios.load(scenario).check(reference.recorded()[scenario])


@pytest.mark.lab
@pytest.mark.parametrize(("table", "scenario"), reference.TABLES.items())
def test_a_run_today_shows_what_the_page_says(played, table, scenario):
    outcome = played(scenario)
    assert outcome.verdict == "pass", outcome.reason
    now, then = (copy.deepcopy(r[table]) for r in (outcome.record, reference.recorded()[scenario]))
    if table == "families":  # whether there is SCTP is the kernel's to say; the check knows both answers
        del now["SOCK_SEQPACKET"]["kali"], then["SOCK_SEQPACKET"]["kali"]
    assert now == then


@pytest.mark.parametrize(("table", "scenario"), reference.TABLES.items())
def test_every_row_has_a_text_in_every_language(table, scenario):
    texts = reference.texts()[table]
    assert set(texts) == set(reference.recorded()[scenario][table])
    for name, text in texts.items():
        assert set(text) == set(LANGUAGES), name
        assert not re.search(r"[|\n]", "".join(text.values())), f"{name}: that would end the row"
        assert CHINESE.search(text["zh-CN"]), name
        assert not CHINESE.search(text["en"]), name


def test_each_page_begins_with_a_link_to_its_twin():
    assert reference.rendered("en").startswith("[简体中文](sockets.zh-CN.md)\n\n# ")
    assert reference.rendered("zh-CN").startswith("[English](sockets.md)\n\n# ")


@pytest.mark.parametrize("language", LANGUAGES)
def test_each_row_says_what_was_seen_and_where(language):
    page = reference.rendered(language)
    for table, scenario in reference.TABLES.items():
        for name, seen in reference.recorded()[scenario][table].items():
            (row,) = [line for line in page.splitlines() if line.startswith(f"| `{name}` |")]
            assert [what for what in seen.values() if f"`{what}`" not in row] == []


def test_a_bar_does_not_end_a_cell(folder):
    kept = reference.recorded()
    kept["socket-methods"]["methods"]["bind"]["kali"] = "one | two"
    (folder / "recorded.json").write_text(json.dumps(kept))
    assert r"kali: `one \| two`" in reference.rendered("en")


def test_a_row_without_words_is_not_left_out(folder):
    texts = (folder / "texts.toml").read_text()
    (folder / "texts.toml").write_text(texts.replace('zh-CN = "对端的地址。"\n', ""))
    reference.rendered("en")
    with pytest.raises(KeyError):
        reference.rendered("zh-CN")


def test_write_writes_what_has_changed(folder):
    (folder / "sockets.md").write_text("another")
    assert CliRunner().invoke(reference.app, ["write"]).output.splitlines() == [
        "sockets.md: written",
        "sockets.zh-CN.md: up to date",
    ]
    assert (folder / "sockets.md").read_text() == reference.rendered("en")


def test_without_a_recording_there_is_one_line(folder):
    (folder / "recorded.json").unlink()
    done = CliRunner().invoke(reference.app, ["write"])
    assert (done.exit_code, done.output.count("\n")) == (2, 1)
    assert "nothing is recorded yet" in done.output


@pytest.mark.lab
def test_a_run_that_fails_is_not_kept(folder, lab_topology, tmp_path_factory, monkeypatch):
    failing = tmp_path_factory.mktemp("scenarios")
    for name in ("socket_families", "socket_methods"):
        (failing / f"{name}.py").write_text(
            '"""It fails.\n\nAlways."""\ndef run(lab): return {}\ndef check(record): assert record\n'
        )
    monkeypatch.setattr(scenarios, "FOLDER", failing)
    before = (folder / "recorded.json").read_text()
    arguments = ["record", "-p", lab_topology.project, "--runs", str(failing / "runs")]
    done = CliRunner().invoke(reference.app, arguments)
    assert done.exit_code == 1
    assert "socket-families is not recorded" in done.output
    assert (folder / "recorded.json").read_text() == before
