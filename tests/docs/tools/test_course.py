"""The course has every scenario exactly once; otherwise the error names it."""

import pytest

from docs.tools import course
from lab.errors import UsageError
from lab.locale import LANGUAGES
from lab.scenarios import catalog

TEXT = 'title = "T"\ntext = "t"\n'
HEAD = f"[en]\n{TEXT}[zh-CN]\n{TEXT}[references]\n"
PART = f"[[part]]\nscenarios = [{{}}]\n[part.en]\n{TEXT}[part.zh-CN]\n{TEXT}"


@pytest.fixture
def loaded(tmp_path, monkeypatch):
    monkeypatch.setattr("docs.tools.GALLERY", tmp_path)
    monkeypatch.setattr(catalog, "FOLDER", tmp_path)
    for name in ("one", "two", "three"):
        (tmp_path / f"{name}.py").write_text("")

    def load(text):
        (tmp_path / "course.toml").write_text(text)
        return course.load()

    return load


def test_each_lesson_has_its_neighbours(loaded):
    it = loaded(HEAD + PART.format('"one", "two"') + PART.format('"three"'))
    assert it.order == ["one", "two", "three"]
    assert [it.neighbours(name) for name in it.order] == [(None, "two"), ("one", "three"), ("two", None)]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (HEAD + PART.format('"one", "two"'), "three is missing"),
        (HEAD + PART.format('"one", "two", "three"') + PART.format('"two"'), "two is listed twice"),
        (HEAD + PART.format('"one", "two", "three", "four"'), "four isn.t a scenario"),
        (HEAD + PART.format('"one", "two", "three"').replace("text =", "txt ="), "is invalid: TypeError"),
        (HEAD, "is invalid: KeyError: 'part'"),
        ("[en", "is invalid: TOMLDecodeError"),
    ],
)
def test_an_invalid_course_is_an_error(loaded, text, said):
    with pytest.raises(UsageError, match=rf"course.toml:? {said}"):
        loaded(text)


def test_the_projects_own_course_has_texts_in_every_language():
    it = course.load()
    assert it.order[0] == "tcp-hello"
    for texts in (it.texts, *(chapter.texts for chapter in it.chapters)):
        assert list(texts) == list(LANGUAGES)
        assert all(text.title.strip() and text.text.strip() for text in texts.values())
        assert any("\u4e00" <= c <= "\u9fff" for c in texts["zh-CN"].text)
