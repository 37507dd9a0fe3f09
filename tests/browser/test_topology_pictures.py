"""The pictures of a topology in a browser: each text is within its box, and Mermaid draws the flowchart."""

import pytest

from lab.topology.description import parse
from lab.topology.picture import mermaid, svg
from lab.topology.plan import plan
from tests.browser.test_mermaid import texts_of  # noqa: F401  (a fixture)
from tests.topology.test_picture import HOME

STAR = '[hosts.node]\ncount = 5\n[hosts.a-host-with-a-long-name]\nimage = "registry/namespace/image:1.2.3"'
MANY = '[segments]\noffice = {}\nservers = {}\n[hosts.h]\nsegment = "office"\ncount = 18\n' + (
    '[hosts.web]\nsegment = "servers"\ncount = 2'
)
OUTSIDE = """
const inside = (inner, outer) => inner.left >= outer.left && inner.right <= outer.right
    && inner.top >= outer.top && inner.bottom <= outer.bottom;
return [...document.querySelectorAll("svg text")]
    .filter(text => {
        const box = text.parentNode.querySelector(":scope > rect") || document.querySelector("svg");
        return !inside(text.getBoundingClientRect(), box.getBoundingClientRect());
    })
    .map(text => text.textContent);
"""
COLOR = 'return getComputedStyle(document.querySelector("svg .name")).fill'


@pytest.fixture
def drawn(driver, tmp_path):
    """Opens the picture of a described lab."""

    def draw(text, dark=False):
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [scheme]})
        found = plan(parse(text))
        file = tmp_path / "lab.svg"
        file.write_text(svg(found, {node.name: "unhealthy" for node in found.nodes[::2]}), encoding="utf-8")
        driver.get(file.as_uri())
        return driver.execute_script

    return draw


@pytest.mark.parametrize("text", [HOME, STAR, MANY], ids=["home", "star", "many"])
def test_each_text_is_within_its_box(drawn, text):
    assert drawn(text)(OUTSIDE) == []


def test_the_colors_follow_the_browser(drawn):
    assert drawn(HOME)(COLOR) == "rgb(28, 36, 48)"
    assert drawn(HOME, dark=True)(COLOR) == "rgb(230, 237, 243)"


@pytest.mark.parametrize("text", [HOME, STAR, MANY], ids=["home", "star", "many"])
def test_mermaid_draws_the_flowchart(texts_of, text):  # noqa: F811
    found = plan(parse(text))
    result = texts_of(mermaid(found, {found.nodes[0].name: 'a "quoted" <state>'}))
    assert isinstance(result, list), result
