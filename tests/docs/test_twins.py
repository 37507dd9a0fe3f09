"""README and the pages with a Chinese version: both have the same parts, and only the prose is translated."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGES = [
    "README",
    "docs/profiles",
    "docs/protocols",
    "docs/machines",
    "docs/topologies",
    "docs/install",
    "docs/commands",
    "docs/testing",
]
FENCED = re.compile(r"^```\w*\n.*?^```$", re.MULTILINE | re.DOTALL)


def blocks(page):
    """The code blocks. A run is shown in the page's own language, so it is left out."""
    return [block for block in FENCED.findall(page) if "▶ tcp-hello" not in block]


def prose(page):
    """All but the blocks, and without the line that links to the twin."""
    return FENCED.sub("", page).partition("\n")[2]


def headings(page):
    """Their levels, in order."""
    return re.findall(r"^#+(?= )", prose(page), re.MULTILINE)


def links(page):
    """Their targets; links of the twin lead to twins."""
    return [link.replace(".zh-CN.md", ".md") for link in re.findall(r"\]\(([^)]+)\)", prose(page))]


def code(page):
    """The texts in backticks within the prose; their order may differ between languages."""
    return sorted(re.findall(r"`[^`\n]+`", prose(page)))


@pytest.fixture(params=PAGES)
def twins(request):
    """The page in English, and in Chinese."""
    paths = [ROOT / f"{request.param}{ending}" for ending in (".md", ".zh-CN.md")]
    return [path.read_text(encoding="utf-8") for path in paths]


@pytest.mark.parametrize("name", PAGES)
def test_each_links_to_the_other_in_its_first_line(name):
    english, chinese = ROOT / f"{name}.md", ROOT / f"{name}.zh-CN.md"
    assert english.read_text().partition("\n")[0] == f"[简体中文]({chinese.name})"
    assert chinese.read_text().partition("\n")[0] == f"[English]({english.name})"


@pytest.mark.parametrize("part", [blocks, headings, links, code], ids=lambda part: part.__name__)
def test_both_pages_have_the_same_parts(part, twins):
    english, chinese = twins
    assert part(english)
    assert part(chinese) == part(english)


def test_no_paragraph_of_the_twin_is_left_in_english(twins):
    english, chinese = twins
    for paragraph in re.split(r"\n{2,}", prose(chinese).strip()):
        same = paragraph == english.partition("\n")[2].strip().partition("\n")[0]  # a name, as a title
        assert same or re.search("[\u4e00-\u9fff]", paragraph), paragraph
