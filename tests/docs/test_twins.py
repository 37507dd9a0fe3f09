"""README and its twin say the same: only the prose is translated."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
ENGLISH = (ROOT / "README.md").read_text()
CHINESE = (ROOT / "README.zh-CN.md").read_text()
FENCED = re.compile(r"^```\w*\n.*?^```$", re.MULTILINE | re.DOTALL)


def blocks(page):
    return FENCED.findall(page)


def prose(page):
    """All but the blocks, and without the line that links to the twin."""
    return FENCED.sub("", page).partition("\n")[2]


def headings(page):
    """Their levels, in order."""
    return re.findall(r"^#+(?= )", prose(page), re.MULTILINE)


def links(page):
    """Where they lead to; the twin leads to twins."""
    return [link.replace(".zh-CN.md", ".md") for link in re.findall(r"\]\(([^)]+)\)", prose(page))]


def code(page):
    """What stands in backticks within the prose; another language may put it in another order."""
    return sorted(re.findall(r"`[^`\n]+`", prose(page)))


def test_each_links_to_the_other_in_its_first_line():
    assert ENGLISH.partition("\n")[0] == "[简体中文](README.zh-CN.md)"
    assert CHINESE.partition("\n")[0] == "[English](README.md)"


@pytest.mark.parametrize("part", [blocks, headings, links, code], ids=lambda part: part.__name__)
def test_both_have_the_same(part):
    assert part(ENGLISH)
    assert part(CHINESE) == part(ENGLISH)


def test_no_paragraph_of_the_twin_is_left_in_english():
    _, title, *paragraphs = re.split(r"\n{2,}", "\n" + prose(CHINESE))
    assert title == "# Socket Lab"
    for paragraph in paragraphs:
        assert re.search("[\u4e00-\u9fff]", paragraph), paragraph
