"""Pictures: every node and address is in them, no box overlaps another, and no line crosses one."""

import itertools
import os
import re
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

import pytest
from hypothesis import given, settings

from lab.topology.description import parse
from lab.topology.drawing.boxes import picture
from lab.topology.drawing.layout import layout
from lab.topology.picture import mermaid, svg
from lab.topology.plan import plan
from tests.topology.random_topologies import topologies

ROOT = Path(__file__).parents[2]
SVG = "{http://www.w3.org/2000/svg}"
HOME = """
name = "home"
[segments]
lan = "10.1.1.0/24"
wan = { prefix = "10.1.2.0/24", mtu = 1400 }
[hosts.alice]
segment = "lan"
aliases = ["a"]
[hosts.web]
segment = "wan"
build = "/x/web server"
[hosts.spy]
segments = ["lan", "wan"]
[routers.gate]
segments = ["lan", "wan"]
nat = "lan"
forward = { 8080 = "alice:80", "53/udp" = "alice:53" }
"""
DRAW = """
import sys
from lab.topology.description import parse
from lab.topology.picture import mermaid, svg
from lab.topology.plan import plan
home = plan(parse(sys.stdin.read()))
print(svg(home) + mermaid(home), end="")
"""


def texts(drawing):
    return [element.text for element in ElementTree.fromstring(drawing).iter(f"{SVG}text")]


def test_the_svg_shows_each_node_with_its_addresses():
    shown = texts(svg(plan(parse(HOME))))
    assert {"home", "lan", "wan", "a (alice)", "web", "spy", "gate"} <= set(shown)
    assert {"10.1.1.0/24", "MTU 1400", "10.1.2.10", "fd28:2::10", "10.1.1.2", "10.1.2.2", "10.1.2.11"} <= set(
        shown
    )
    assert {"NAT for lan", "8080 → alice:80", "53/udp → alice:53", "web server"} <= set(shown)


@pytest.mark.parametrize(
    ("state", "kind"), [("healthy", "good"), ("running", "good"), ("paused", "wait"), ("exited", "bad")]
)
def test_the_state_of_a_node_is_a_word_and_a_color(state, kind):
    drawing = svg(plan(parse(HOME)), {"alice": state})
    (element,) = (e for e in ElementTree.fromstring(drawing).iter(f"{SVG}text") if e.text == state)
    assert element.get("class") == kind
    chart = mermaid(plan(parse(HOME)), {"alice": state})
    assert f"<br>{state}" in chart
    assert (":::down" in chart) == (kind != "good")


def test_the_flowchart_has_a_line_for_each_box_and_each_line():
    chart = mermaid(plan(parse(HOME)))
    assert chart.splitlines()[0] == "flowchart LR"
    assert 'n0h0["<b>a (alice)</b><br>10.1.1.10<br>fd28:1::10"]' in chart
    assert 'n3{{"<b>gate</b><br>NAT for lan<br>8080 → alice:80<br>53/udp → alice:53"}}:::router' in chart
    assert 'n3 -.-|"10.1.1.2"| n0' in chart
    assert 'n3 ---|"10.1.2.2"| n1' in chart
    assert len(re.findall(" --- | -.-|---\\|", chart)) == 2 + 2 + 2


def test_a_text_can_t_end_its_box():
    host = "[hosts.web]\nimage = 'x\"]; click <b>&amp;'\n[hosts.db]\n"
    assert "<br>x&quot;]; click &lt;b&gt;&amp;amp;" in mermaid(plan(parse(host)))
    assert 'x"]; click <b>&amp;' in texts(svg(plan(parse(host))))


def test_the_same_plan_gives_the_same_picture_in_each_process():
    pictures = {drawn_in_a_process(hash_seed) for hash_seed in ("1", "2", "3")}
    assert pictures == {svg(plan(parse(HOME))) + mermaid(plan(parse(HOME)))}


def drawn_in_a_process(hash_seed):
    """Both pictures, in a process with this order of sets."""
    environment = {**os.environ, "PYTHONHASHSEED": hash_seed, "PYTHONPATH": str(ROOT)}
    argv = [sys.executable, "-c", DRAW]
    return subprocess.run(
        argv, env=environment, input=HOME, capture_output=True, encoding="utf-8", check=True, timeout=60
    ).stdout


def test_many_hosts_are_put_in_columns():
    boxes = picture(plan(parse("[segments]\na = {}\n[hosts.h]\nsegment = 'a'\ncount = 40")), {}).boxes
    (box,) = boxes.values()
    assert box.columns == 7
    assert box.height < box.width < 1000


@given(topologies(overrides=False))
@settings(max_examples=100, deadline=None)
def test_no_box_overlaps_another_and_no_line_crosses_one(topology):
    drawn = picture(plan(topology), {})
    places = layout(drawn)
    spans = {name: (places[name].x, places[name].x + box.width) for name, box in drawn.boxes.items()}
    for one, other in itertools.combinations(drawn.boxes, 2):
        apart = spans[one][1] <= spans[other][0] or spans[other][1] <= spans[one][0]
        heights = (drawn.boxes[one].height + drawn.boxes[other].height) / 2
        assert apart or abs(places[one].y - places[other].y) >= heights
    for line in drawn.lines:
        (_, left), (right, _) = sorted([spans[line.node], spans[line.segment]])
        assert left < right
        assert not [name for name, (start, end) in spans.items() if left < start and end < right]
