"""Mermaid, in a browser, draws every diagram of the gallery and every hostile text.

Only the unchanged Mermaid script of the package mermaidx is used.
"""

from importlib.metadata import distribution
from itertools import pairwise
from pathlib import Path

import pytest
from markdown_it import MarkdownIt

from docs import tools
from docs.tools.diagram import diagram
from docs.tools.recording import Step
from lab.protocols.printable import printable
from tests.docs.tools.test_diagram import AWKWARD, HOSTILE, LANES

DRAW = """
const [source, done] = arguments, box = document.body.appendChild(document.createElement("div"));
mermaid.render("drawn", source)
    .then(({svg}) => {
        box.innerHTML = svg;
        done([...box.querySelectorAll("text")].map(text => text.textContent));
    })
    .catch(error => done(String(error)))
    .finally(() => box.remove());
"""


@pytest.fixture(scope="module")
def texts_of(driver, tmp_path_factory):
    """Draws a diagram. Returns its texts, or Mermaid's error message as a string."""
    page: Path = tmp_path_factory.mktemp("mermaid") / "page.html"
    script = Path(distribution("mermaidx").locate_file("mermaidx/assets/mermaid.js"))
    page.write_text(f'<!doctype html><meta charset="utf-8"><script src="{script.as_uri()}"></script>')
    driver.get(page.as_uri())
    driver.execute_script("mermaid.initialize({startOnLoad: false, suppressErrorRendering: true})")
    return lambda source: driver.execute_async_script(DRAW, source)


def diagrams(page):
    return [token.content for token in MarkdownIt().parse(page.read_text()) if token.info == "mermaid"]


@pytest.mark.parametrize("page", sorted(tools.GALLERY.glob("*.md")), ids=lambda page: page.name)
def test_every_picture_is_drawn(texts_of, page):
    for source in diagrams(page):
        texts = texts_of(source)
        assert isinstance(texts, list), f"{texts}\n{source}"
        rows = [line.split()[0] for line in source.splitlines()[1:]]
        lanes = rows.count("participant")
        assert len(texts) == len(rows) + lanes  # each lane has its name above and below


@pytest.mark.parametrize("text", HOSTILE)
def test_a_hostile_text_is_drawn_as_it_is(texts_of, text):
    steps = [
        Step(0.0, "kali", "win10", text),
        Step(0.0, "win10", "kali", text, fate="lost"),
        Step(0.0, note=text),
    ]
    texts = texts_of(diagram(steps, "en", LANES))
    assert isinstance(texts, list), texts
    assert sorted(texts[6:]) == sorted([printable(text), f"{printable(text)} (lost)", printable(text)])


def test_nodes_with_awkward_names_are_drawn_with_their_names(texts_of):
    steps = [Step(0.0, one, other, "SYN") for one, other in pairwise(AWKWARD)]
    steps += [Step(0.0, AWKWARD[0], AWKWARD[-1], "SYN", "lost", lost_at=AWKWARD[3]), Step(0.0, note="x")]
    texts = texts_of(diagram(steps, "en", AWKWARD))
    assert isinstance(texts, list), texts
    assert sorted(texts[: 2 * len(AWKWARD)]) == sorted(2 * AWKWARD)


def test_an_invalid_diagram_is_an_error(texts_of):
    """These tests can fail."""
    assert "Parse error" in texts_of("sequenceDiagram\n    kali->>win10: a;b\n    nonsense")
