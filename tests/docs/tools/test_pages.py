"""The committed gallery: every page is what its scenario, its recording and the course give now."""

import re
from itertools import pairwise

import pytest
from markdown_it import MarkdownIt

from docs import tools
from docs.tools import course, recording, render
from docs.tools.cli import superfluous
from docs.tools.render import file_name
from lab.locale import LANGUAGES
from lab.scenarios import catalog, lessons

NAMES = catalog.names()
OTHERS = [language for language in LANGUAGES if language != "en"]


def kept(name, language="en"):
    return (tools.GALLERY / file_name(name, language)).read_text(encoding="utf-8")


def kinds(markdown):
    """Headings with their level, and code blocks with their language, in order."""
    tokens = MarkdownIt().parse(markdown)
    wanted = {"heading_open": "tag", "fence": "info", "code_block": "type"}
    return [getattr(token, wanted[token.type]) for token in tokens if token.type in wanted]


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("name", ["README", *NAMES])
def test_a_page_is_what_is_rendered_now(name, language):
    now = render.rendered(name, course.load(), language)
    assert kept(name, language) == now, "out of date: make docs"


def test_there_are_no_other_pages():
    assert superfluous({file_name(name, code) for name in ["README", *NAMES] for code in LANGUAGES}) == []


@pytest.mark.parametrize("name", NAMES)
def test_a_recording_is_of_the_code_as_it_is_and_passes_its_check(name):
    scenario, kept_run = catalog.load(name), recording.load(name)
    assert render.is_current(kept_run, scenario), "out of date: make docs"
    assert kept_run.verdict == "pass"
    scenario.check(kept_run.record)
    assert [part.variant for part in kept_run.parts] == list(scenario.outcomes or [""])


@pytest.mark.parametrize("name", NAMES)
def test_a_recording_is_small_and_names_no_machine(name):
    text = recording.path_of(name).read_text(encoding="utf-8")
    assert len(text.encode()) < 20_000
    assert set(re.findall(r"(?<![\w/.~:*\\-])/(\w+)/", text)) <= {"bin", "dev", "proc", "tmp", "usr"}


@pytest.mark.parametrize("name", ["README", *NAMES])
def test_the_pages_of_a_lesson_have_the_same_form_in_every_language(name):
    for language in OTHERS:
        assert kinds(kept(name, language)) == kinds(kept(name))
        assert kept(name, language).startswith(f"[English]({file_name(name, 'en')})")
        assert kept(name).startswith(f"[{LANGUAGES[language]}]({file_name(name, language)})")


@pytest.mark.parametrize("language", OTHERS)
@pytest.mark.parametrize("name", NAMES)
def test_every_lesson_is_translated(name, language):
    path = catalog.FOLDER / language / f"{name.replace('-', '_')}.md"
    assert path.exists(), f"{name} has no text in {language}"
    scenario = catalog.load(name)
    english, other = (lessons.lesson(scenario, code) for code in ("en", language))
    assert kinds(other.text) == kinds(english.text)
    written = re.findall(r"^## (.*)", path.read_text(encoding="utf-8"), re.MULTILINE)
    assert written == list(scenario.outcomes)
    for text in (other.title, other.text, *other.outcomes.values()):
        assert re.search("[\u4e00-\u9fff]", text)


def test_every_translation_has_its_lesson():
    for language in OTHERS:
        found = {path.stem.replace("_", "-") for path in (catalog.FOLDER / language).glob("*.md")}
        assert found == set(NAMES)


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("name", ["README", *NAMES])
def test_every_link_leads_to_a_file(name, language):
    blocks = MarkdownIt().parse(kept(name, language))
    inline = [part for block in blocks for part in block.children or []]
    found = [part.attrs["href"] for part in inline if part.type == "link_open"]
    assert len(found) >= 2
    for target in found:
        assert (tools.GALLERY / target).is_file(), target


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_lessons_link_to_their_neighbours(language):
    order = course.load().order
    assert re.findall(r"^(\d+)\. \[([\w-]+)\]\(([\w.-]+)\)", kept("README", language), re.MULTILINE) == [
        (str(number), name, file_name(name, language)) for number, name in enumerate(order, 1)
    ]
    for before, after in pairwise(order):
        first_line, _, _ = kept(before, language).partition("\n")
        assert first_line.endswith(f"[{after}]({file_name(after, language)})")
        assert f"[{before}]({file_name(before, language)})" in kept(after, language).partition("\n")[0]


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("name", NAMES)
def test_a_lesson_is_rendered_as_it_was_written(name, language):
    """No text becomes markup by accident; only line breaks may differ."""
    told = lessons.lesson(catalog.load(name), language)
    tokens = MarkdownIt().parse(kept(name, language))
    seen = "".join(
        "".join(part.content for part in token.children) if token.children else token.content
        for token in tokens
    )
    for paragraph in re.split(r"\n\n+", told.text):
        if not paragraph.startswith((" ", "- ")):
            assert re.sub(r"[\s`]", "", paragraph) in re.sub(r"\s", "", seen), paragraph


@pytest.mark.parametrize("name", NAMES)
def test_a_page_shows_the_programs_and_the_way_to_play(name):
    page, scenario = kept(name), catalog.load(name)
    for text in scenario.programs.values():
        assert text in page
    assert f"```sh\nlab run {name}\n```" in page
    assert "```mermaid\nsequenceDiagram\n" in page
    if scenario.outcomes:
        assert "```diff\n--- BROKEN" in page
        assert all(outcome for outcome in scenario.outcomes.values())
