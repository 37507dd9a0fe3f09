"""A page shows any text of a scenario, a program or a peer, and keeps its own form."""

import pytest
from markdown_it import MarkdownIt

from docs.tools import render
from docs.tools.course import Chapter, Course, Text
from docs.tools.extraction import keep
from lab.errors import LabError
from lab.evidence.events import Note, ProgramStarted, VariantBegan
from lab.scenarios import catalog
from tests.docs.tools.test_diagram import GRAMMAR, HOSTILE
from tests.evidence.trace_runs import Run

TRAP = '''"""A *title* with <marks>.

A lesson with <b>, # and _x_.

    a picture  ──▶ *
"""

BROKEN = """
import socket
print("```")
"""
FIXED = """
import socket
print("~~~")
"""
CLIENT = """
import socket, sys
"""


def run(lab, variant): ...


def check_broken(record):
    """It *fails*."""


def check_fixed(record):
    """It works: `code`."""
'''
TEXTS = {language: Text("title", "text") for language in ("en", "zh-CN")}


@pytest.fixture
def scenario(tmp_path, monkeypatch):
    monkeypatch.setattr(catalog, "FOLDER", tmp_path)
    monkeypatch.setattr("docs.tools.GALLERY", tmp_path / "gallery")
    (tmp_path / "trap.py").write_text(TRAP)
    return catalog.load("trap")


def page(scenario, run, language="en", **course):
    the_course = Course(TEXTS, [Chapter(["trap"], TEXTS)], course)
    return render.page(scenario, keep(scenario, run.save()), the_course, language)


@pytest.fixture
def run(tmp_path):
    made = Run(tmp_path / "run", {"impairment": {"backend": "", "changes": []}})
    for at, variant in enumerate(("broken", "fixed"), 1):
        made.add(VariantBegan, at, "lab", variant)
        made.add(ProgramStarted, at + 0.1, "win10", at, "python3 -c server")
        made.print(at + 0.2, "win10", "listening", at)
        made.udp(at + 0.3, (5000, 9090), b"hello")
    return made


def forms(markdown):
    wanted = ("heading_open", "fence", "code_block", "html_block")
    return [(t.tag, t.info) for t in MarkdownIt().parse(markdown) if t.type in wanted]


def blocks(markdown, language):
    return [token.content for token in MarkdownIt().parse(markdown) if token.info == language]


def test_the_form_of_a_pitfalls_page(scenario, run):
    variant = [("h2", ""), ("code", "python"), ("h3", ""), ("code", "text"), ("h3", ""), ("code", "mermaid")]
    play = [("h2", ""), ("code", "sh"), ("", ""), ("code", "python"), ("", "")]
    shared = [("code", "python")]
    expected = [
        ("h1", ""),
        ("code", ""),
        *variant[:1], *shared, *variant[1:],
        *variant,
        ("h2", ""), ("code", "diff"),
        *play,
    ]  # fmt: skip
    assert forms(page(scenario, run)) == expected
    assert forms(page(scenario, run, "zh-CN")) == expected


def test_a_shared_program_is_shown_once(scenario, run):
    text = page(scenario, run)
    assert text.count("import socket, sys") == 1
    assert "\n`CLIENT` as above.\n" in text


@pytest.mark.parametrize("text", [*HOSTILE, "```\nforged\n```", "~~~", "</details>", "    # x", "{{ 1 }}"])
def test_a_hostile_text_stays_in_its_place(scenario, run, text):
    before = forms(page(scenario, run))
    for at in (1, 2):
        run.udp(at + 0.4, (5000, 9091), text.encode())
        for line in text.split("\n"):
            run.print(at + 0.5, "win10", line, at)
        run.add(Note, at + 0.6, "lab", text)
        run.udp(at + 0.7, (5000, 9092), b"after")
    now = page(scenario, run)
    assert forms(now) == before
    for picture in blocks(now, "mermaid"):
        assert all(GRAMMAR.fullmatch(line) for line in picture.splitlines())


def test_the_lesson_reads_as_it_stands(scenario, run):
    seen = "\n".join(
        "".join(part.content for part in token.children or []) or token.content
        for token in MarkdownIt().parse(page(scenario, run))
    )
    for text in (
        "A *title* with <marks>.",
        "A lesson with <b>, # and _x_.",
        "a picture  ──▶ *",
        "It *fails*.",
    ):
        assert text in seen


def test_a_lesson_links_to_a_page_outside_of_the_gallery(scenario, run):
    assert "](../x.md)" in page(scenario, run, trap="../x.md")
    assert "](../x.zh-CN.md)" in page(scenario, run, "zh-CN", trap="../x.md")
    assert "../x" not in page(scenario, run)


def test_a_page_of_other_code_is_not_written(scenario):
    with pytest.raises(LabError, match="trap has no recording"):
        render.rendered("trap", Course(TEXTS, [Chapter(["trap"], TEXTS)], {}), "en")
