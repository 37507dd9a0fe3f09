"""The socket reference: its pages show a recorded run, and a run played now gives the same results."""

import copy
import re

import pytest

from docs import tools
from docs.tools import recording, socket_reference
from docs.tools.render import file_name
from lab.locale import LANGUAGES

CHINESE = re.compile("[\u4e00-\u9fff]")


def recorded(scenario):
    return recording.load(scenario).record


@pytest.fixture
def any_recording(monkeypatch):
    """The recordings are used even if their scenarios were changed since."""
    monkeypatch.setattr(socket_reference, "recorded", lambda scenario: recording.load(scenario.name))


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_page_is_what_the_recording_gives(language):
    page = (tools.REFERENCE / file_name(socket_reference.NAME, language)).read_text()
    assert page == socket_reference.rendered(language)


@pytest.mark.lab
@pytest.mark.parametrize(("table", "scenario"), socket_reference.TABLES.items())
def test_a_run_today_shows_what_the_page_says(played, table, scenario):
    outcome = played(scenario)
    assert outcome.verdict == "pass", outcome.reason
    now, then = (copy.deepcopy(r[table]) for r in (outcome.record, recorded(scenario)))
    if table == "families":  # whether there is SCTP is the kernel's to say; the check knows both answers
        del now["SOCK_SEQPACKET"]["kali"], then["SOCK_SEQPACKET"]["kali"]
    assert now == then


@pytest.mark.parametrize(("table", "scenario"), socket_reference.TABLES.items())
def test_every_row_has_a_text_in_every_language(table, scenario):
    texts = socket_reference.texts()[table]
    assert set(texts) == set(recorded(scenario)[table])
    for name, text in texts.items():
        assert set(text) == set(LANGUAGES), name
        assert not re.search(r"[|\n]", "".join(text.values())), f"{name}: this would end the row"
        assert CHINESE.search(text["zh-CN"]), name
        assert not CHINESE.search(text["en"]), name


def test_each_page_begins_with_a_link_to_the_other_language(any_recording):
    assert socket_reference.rendered("en").startswith("[简体中文](sockets.zh-CN.md)\n\n# ")
    assert socket_reference.rendered("zh-CN").startswith("[English](sockets.md)\n\n# ")


@pytest.mark.parametrize("language", LANGUAGES)
def test_each_row_has_the_results_and_their_hosts(any_recording, language):
    page = socket_reference.rendered(language)
    for table, scenario in socket_reference.TABLES.items():
        for name, seen in recorded(scenario)[table].items():
            (row,) = [line for line in page.splitlines() if line.startswith(f"| `{name}` |")]
            assert [what for what in seen.values() if f"`{what}`" not in row] == []


def test_a_bar_does_not_end_a_cell(any_recording, tmp_path, monkeypatch):
    for name in socket_reference.TABLES.values():
        kept = recording.load(name)
        kept.record.get("methods", {}).get("bind", {})["kali"] = "one | two"
        with monkeypatch.context() as patch:
            patch.setattr(tools, "GALLERY", tmp_path)
            recording.save(kept)
    monkeypatch.setattr(tools, "GALLERY", tmp_path)
    assert r"kali: `one \| two`" in socket_reference.rendered("en")


def test_a_row_without_a_text_is_an_error(any_recording, tmp_path, monkeypatch):
    texts = (tools.REFERENCE / "texts.toml").read_text()
    (tmp_path / "texts.toml").write_text(texts.replace('zh-CN = "对端的地址。"\n', ""))
    monkeypatch.setattr(tools, "REFERENCE", tmp_path)
    socket_reference.rendered("en")
    with pytest.raises(KeyError):
        socket_reference.rendered("zh-CN")
