"""Text from programs, peers and scenarios is shown as text; it never becomes markup or code."""

import pytest

from lab.evidence.events import FaultChanged, Note
from tests.evidence.trace_runs import Run, hello

MARKUP = (
    "</script><script>window.taken = 1</script><img src=x onerror='window.taken = 1'>"
    "<svg onload='window.taken = 1'>{{ 7 * 7 }}<!--"
)
REVERSED = "safe\u202etxt.exe\u2066\u200b"
CONTROLS = "\x1b[31mred\x07\x00\x9b\u2028"


def hostile(folder):
    run = hello(folder)
    run.record = {
        "verdict": "fail",
        "scenario": MARKUP,
        "title": MARKUP + REVERSED,
        "reason": f"{MARKUP}\n{REVERSED}{CONTROLS}",
        "diagnosis": {
            "sentences": [MARKUP + REVERSED],
            "see_also": [MARKUP, "../../etc/passwd", "javascript:alert(1)"],
        },
        "versions": {MARKUP: MARKUP},
        "seed": MARKUP,
    }
    for at, text in enumerate((MARKUP, REVERSED, CONTROLS)):
        run.print(0.6 + at / 100, "kali", text, 2)
        run.print(0.6 + at / 100, MARKUP, text, 3)
    run.add(FaultChanged, 0.65, "win10", MARKUP, "begin")
    run.add(Note, 0.66, "lab", MARKUP)
    run.socket(0.3, "kali", 9, MARKUP, "*:8001", "*:*", command=MARKUP + REVERSED)
    run.udp(0.7, (3000, 2000), MARKUP.encode())
    run.udp(0.71, (3000, 2000), REVERSED.encode())
    return run


@pytest.fixture
def hostile_page(show):
    return show(hostile)


def test_no_code_runs_and_no_element_is_created(hostile_page):
    assert hostile_page.run("return window.taken === undefined")
    assert hostile_page.run("return document.querySelectorAll('img, svg, header script').length") == 0
    assert hostile_page.find("h1").text.startswith("</script><script>window.taken")
    assert "{{ 7 * 7 }}" in hostile_page.find(".title").text


def test_the_panel_shows_it_as_text(hostile_page):
    for index in hostile_page.run("return run.events.map((_, i) => i)"):
        hostile_page.run("select({kind: 'event', index: arguments[0]}, {open: true})", index)
    for index in hostile_page.run("return run.sockets.map((_, i) => i)"):
        hostile_page.run("select({kind: 'socket', index: arguments[0]}, {open: true})", index)
    last = hostile_page.run("return count - 2")
    hostile_page.run("select({kind: 'packet', index: arguments[0]}, {open: true})", last)
    assert hostile_page.find("pre.text").text == MARKUP
    assert hostile_page.run("return window.taken === undefined")
    assert hostile_page.run("return document.querySelectorAll('img, svg').length") == 0


def test_invisible_and_direction_changing_characters_are_escaped(hostile_page):
    assert "safe\\u202etxt.exe\\u2066\\u200b" in hostile_page.find(".reason").text
    assert "\\x1b[31mred\\x07\\x00\\x9b" in hostile_page.find(".reason").text
    hostile_page.run("select({kind: 'packet', index: count - 1}, {open: true})")
    assert hostile_page.find("pre.text").text == "safe\\u202etxt.exe\\u2066\\u200b"
    shown = hostile_page.run("return visible(arguments[0])", REVERSED + CONTROLS)
    assert shown == "safe\\u202etxt.exe\\u2066\\u200b\\x1b[31mred\\x07\\0\\x9b\\u2028"


def test_no_link_leads_anywhere(hostile_page):
    assert hostile_page.run("return [...document.links].map((a) => a.href)") == []


def test_the_policy_blocks_all_other_code(hostile_page):
    hostile_page.run(
        "const made = document.createElement('script'); made.textContent = 'window.taken = 1';"
        "document.body.append(made);"
        "const drawn = document.createElement('img'); drawn.setAttribute('onerror', 'window.taken = 1');"
        "drawn.src = 'data:,'; document.body.append(drawn);"
    )
    hostile_page.frame()
    assert hostile_page.run("return window.taken === undefined")
    complaints = hostile_page.complaints()
    assert complaints
    assert all("Content Security Policy" in complaint for complaint in complaints)


def test_lone_surrogates_are_escaped(show):
    def lone_surrogate(folder):
        return Run(folder, {"title": "half \ud83d a pair", "reason": "\udcff"})

    assert show(lone_surrogate).find(".title").text == "half \\ud83d a pair"
