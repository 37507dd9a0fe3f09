"""trace.html of a lab with eight hosts and three routers: its columns, its menu of nodes, and its width."""

from itertools import combinations, pairwise

import pytest
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.keys import Keys

from lab.evidence.events import FaultChanged
from tests.browser.test_page import spell
from tests.evidence.office_run import HOSTS, OfficeRun, busy, office

SIZE = (1280, 800)
TAKING_PART = ["alice", "edge", "core", "db", "dns", "web", "branch", "dave"]
ALL = ["alice", "bob", "carol", "edge", "core", "db", "dns", "web", "branch", "dave", "erin"]

# The texts of the heads and their boxes, cut off at the edges of their elements: left, right, top, bottom.
TEXT_BOXES = """
const found = document.querySelectorAll("#heads b, #heads span, #heads .segment i, #heads button");
return [...found].map((text) => {
  const range = document.createRange();
  range.selectNodeContents(text);
  const {left, right, top, bottom} = range.getBoundingClientRect();
  const box = text.parentElement.getBoundingClientRect();
  return [text.textContent, Math.max(left, box.left), Math.min(right, box.right), top, bottom];
}).filter(([text]) => text);
"""
# The picture on a canvas of its own, whose pixels can be read often.
PIXELS = """
const copy = new OffscreenCanvas(canvas.width, canvas.height).getContext("2d", {willReadFrequently: true});
copy.drawImage(canvas, 0, 0);
return arguments[0].map((box) => [...copy.getImageData(...box).data]);
"""
LANES = "return view.layout.lanes.map((node) => view.layout.columns[node].lane)"
# The titles of the nodes at each point of a packet's path; the edges of a router are in its lane.
COLUMNS_OF = """
const near = (x, column) => column && x >= column.left - 1 && x <= column.right + 1;
return wayOnScreen(arguments[0]).points.map(([x]) =>
  run.nodes.filter((_, node) => near(x, view.layout.columns[node])).map(({title}) => title));
"""


@pytest.fixture
def wide(show):
    return show(office, size=SIZE)


def names(page):
    return page.texts("#heads b")


def packet(page, label, source):
    """The index of the first packet with this label from a node."""
    return page.run(
        "return packets.label.findIndex((_, i) =>"
        " labelOf(i) === arguments[0] && nodeName(packets.source[i]) === arguments[1])",
        label,
        source,
    )


def stops(page, index):
    """The nodes at which the path of a packet has its points, each once."""
    found = [name for at in page.run(COLUMNS_OF, index) for name in at]
    return [name for before, name in pairwise(["", *found]) if name != before]


def are_apart(one, other):
    """Whether two boxes don't overlap by more than a pixel."""
    return any(
        first[end] <= second[start] + 1
        for start, end in ((1, 2), (3, 4))
        for first, second in ((one, other), (other, one))
    )


# --- columns -----------------------------------------------------------------------------------------------


def test_nodes_that_take_part_have_columns_in_the_order_of_the_cables(wide):
    wide.run("scrollAcross(0)")
    heads = wide.driver.find_elements("css selector", "#heads b")
    assert [head.get_attribute("textContent") for head in heads] == TAKING_PART
    lanes = wide.run(LANES)
    assert lanes == sorted(lanes)
    assert len(set(lanes)) == len(TAKING_PART)


def test_the_others_are_folded_into_one_column_that_opens(wide):
    button = wide.find(".fold")
    wide.run("scrollAcross(1e6)")
    assert button.text == "3 more nodes"
    assert button.get_attribute("title") == "bob, carol, erin"
    button.click()
    assert wide.run("return view.layout.lanes.map((node) => run.nodes[node].title)") == ALL
    assert not wide.driver.find_elements("css selector", ".fold")


def test_each_lane_is_below_its_head(wide):
    for across in (0, 200, 1e6):
        wide.run("scrollAcross(arguments[0])", across)
        left = wide.run("return canvas.getBoundingClientRect().left")
        for number, lane in enumerate(wide.run(LANES)):
            head = wide.find(f"#heads-row > :nth-child({number + 1})").rect
            x = lane - wide.run("return view.across") + left
            assert head["x"] - 1 <= x <= head["x"] + head["width"] + 1


def test_the_line_of_a_host_is_painted_in_its_colour_at_its_lane(wide):
    for across in (0, 200):
        wide.run("scrollAcross(arguments[0])", across)
        wide.frame()
        hosts = wide.run(
            "return view.layout.lanes.filter((node) => !isRouter(node)).map((node) =>"
            " [nodeColour(node), view.layout.columns[node].lane - view.across])"
            ".filter(([, x]) => x > RULER && x < view.layout.end - 2)"
        )
        assert len(hosts) >= 3
        pixels = wide.run(PIXELS, [[round(x), 5, 1, 1] for _, x in hosts])
        assert ["#" + bytes(pixel[:3]).hex() for pixel in pixels] == [colour for colour, _ in hosts]


def test_labels_of_heads_do_not_overlap(wide):
    for width in (1280, 1600, 900):
        wide.driver.execute_cdp_cmd(
            "Emulation.setDeviceMetricsOverride",
            {"width": width, "height": 800, "deviceScaleFactor": 1, "mobile": False},
        )
        wide.until(lambda width=width: wide.run("return innerWidth === arguments[0]", width))
        wide.frame()
        for shown in (TAKING_PART, ALL):
            wide.run(
                "showNodes(arguments[0].map((name) => run.nodes.findIndex((n) => n.title === name)))", shown
            )
            for one, other in combinations(wide.run(TEXT_BOXES), 2):
                assert are_apart(one, other), f"{one} overlaps {other} at {width} pixels"


def test_long_names_are_cut_off_instead_of_overlapping(wide):
    wide.run("run.nodes.forEach((node, i) => { node.title = `warehouse-scanner-of-the-north-${i}`; })")
    wide.run("showNodes(run.nodes.keys())")
    for one, other in combinations(wide.run(TEXT_BOXES), 2):
        assert are_apart(one, other), f"{one} overlaps {other}"
    assert (
        wide.find("#heads b").get_attribute("title").startswith("warehouse-scanner-of-the-north-0\n10.1.0.10")
    )


def test_an_arrow_has_a_leg_from_node_to_node(wide):
    assert stops(wide, packet(wide, "SYN", "alice")) == ["alice", "edge", "core", "web"]
    assert stops(wide, packet(wide, "SYN ACK", "web")) == ["web", "core", "edge", "alice"]
    assert stops(wide, packet(wide, "SYN", "dave")) == ["dave", "branch", "core", "db"]


def test_an_arrow_is_painted_on_each_of_its_legs(wide):
    wide.run("fit(); scrollAcross(0)")
    wide.frame()
    points = wide.run("return wayOnScreen(arguments[0]).points", packet(wide, "PSH ACK 18 bytes", "alice"))
    middles = [((x + x2) / 2, (y + y2) / 2) for (x, y), (x2, y2) in pairwise(points)]
    empty, *legs = wide.run(PIXELS, [[3, 3, 1, 3], *([round(x), round(y) - 1, 1, 3] for x, y in middles)])
    assert all(painted != empty for painted in legs)


def test_a_packet_that_turns_round_comes_back_lower(wide):
    points = wide.run("return wayOnScreen(arguments[0]).points", packet(wide, "SYN", "dave"))
    core = wide.run("return view.layout.columns[run.nodes.findIndex((n) => n.title === 'core')]")
    inside = [(x, y) for x, y in points if core["left"] <= x <= core["right"]]
    assert [x for x, _ in inside] == [core["right"], core["lane"], core["right"]]
    assert inside[-1][1] - inside[0][1] >= 8


def test_a_lost_packet_ends_in_the_router_that_lost_it(wide):
    index = packet(wide, "UDP 14 bytes", "dave")
    x, _ = wide.run("return wayOnScreen(arguments[0]).points.at(-1)", index)
    assert x == wide.run("return view.layout.columns[run.nodes.findIndex((n) => n.title === 'branch')].lane")
    wide.run("select({kind: 'packet', index: arguments[0]}, {open: true})", index)
    assert "lost in branch" in wide.panel()
    assert "on servers\nnot seen" in wide.panel()


def test_output_stands_beside_its_host_and_arrows_keep_clear_of_it(wide):
    lines = wide.run(
        "return view.events.filter((i) => isBeside(run.events[i].node)).map((i) => [i, view.eventY[i]])"
    )
    assert len(lines) >= 8
    for index, y in lines:
        node = wide.run("return run.events[arguments[0]].node", index)
        column = wide.run("return textColumn(arguments[0])", node)
        if not column.startswith("gap"):
            continue
        heights = wide.run(
            "return view.shown.flatMap((i) => legsOf(i, view.layout)"
            ".filter((leg) => gapNames(leg).includes(arguments[0]))"
            ".map((leg) => view.sightings[packets.sighting[i] + leg.first]))",
            column,
        )
        assert all(abs(y - other) >= 9 for other in heights)


def test_the_fault_of_a_folded_node_makes_it_take_part(show):
    def faulty(folder):
        run = office(folder)
        run.add(FaultChanged, 1.15, "erin", "power cut", "begin")
        return run

    page = show(faulty, size=SIZE)
    assert "erin" in page.run("return view.layout.lanes.map((node) => run.nodes[node].title)")


# --- a packet's details ------------------------------------------------------------------------------------


def test_the_details_have_each_sighting_and_the_translation(wide):
    wide.run("fit()")
    panel = wide.click_packet(packet(wide, "SYN", "alice"))
    for text in (
        "on office\n0.220010 s",
        "on backbone, by edge\n0.220050 s (40 µs later)",
        "on backbone, by core\n0.220060 s (10 µs later)",
        "on servers\n0.220100 s (40 µs later)",
        "in edge\n40 µs",
        "translated by edge\n10.1.0.10:40000 → 172.28.0.2:40000",
        "connection\nTCP alice:40000 → web:80",
    ):
        assert text in panel
    assert wide.texts(".facts + .tabs button") == [
        f"as seen on {s}" for s in ("office", "backbone", "servers")
    ]
    wide.find(".tabs button:nth-child(3)").click()
    fields = dict(text.split("\n", 1) for text in wide.texts(".field") if "\n" in text)
    assert (fields["source"], fields["time to live"]) == ("172.28.0.2", "62")


def test_both_directions_through_a_translation_are_one_connection(wide):
    wide.run("setFilter('connection', String(run.connections.indexOf('TCP alice:40000 → web:80')))")
    assert wide.find("#counts").text.startswith("8 of 22 packets")


def test_the_translation_is_written_at_its_router(wide):
    written = spell(wide)
    assert any("172.28.0.2:40000" in text for text in written)
    assert any("10.1.0.10:40000" in text for text in written)


# --- the menu ----------------------------------------------------------------------------------------------


def test_the_menu_works_with_the_keyboard_and_the_url_remembers_it(wide):
    wide.run("document.querySelector('#nodes summary').focus()")
    wide.press(Keys.ENTER)
    wide.until(lambda: wide.find(".menu").is_displayed())
    for _ in range(ALL.index("dns") + 1):
        wide.press(Keys.TAB)
    wide.press(Keys.SPACE)
    left = [name for name in TAKING_PART if name != "dns"]
    assert wide.find("#nodes summary").text == "nodes: 7 of 11"
    assert wide.run("return document.activeElement.checked") is False
    assert wide.run("return location.hash") == f"#nodes={','.join(left)}"
    wide.press(Keys.ESCAPE)
    assert not wide.find(".menu").is_displayed()
    assert wide.run("return document.activeElement.tagName") == "SUMMARY"
    wide.run("document.documentElement.removeAttribute('data-ready'); location.reload()")
    wide.until(lambda: wide.run("return document.documentElement.dataset.ready"))
    assert wide.run("return view.layout.lanes.map((node) => run.nodes[node].title)") == left
    assert wide.find("#counts").text.startswith("20 of 22 packets")


def test_the_columns_follow_the_url_and_their_packets_with_them(wide):
    wide.run("location.hash = '#nodes=dave,db,nobody'")
    wide.until(lambda: names(wide) == ["db", "dave"])
    assert wide.find("#counts").text.startswith("8 of 22 packets")
    assert stops(wide, packet(wide, "SYN", "dave")) == ["dave", "db"]
    wide.run("location.hash = '#nodes=nobody'")
    wide.until(lambda: wide.find("#nodes summary").text == "nodes: 8 of 11")


def test_the_usual_columns_need_no_url(wide):
    wide.run("showNodes([0])")
    assert wide.run("return location.hash") == "#nodes=alice"
    wide.run("document.getElementById('nodes').open = true")
    wide.find("#taking-part").click()
    assert wide.run("return location.hash") == ""
    wide.find("#all-nodes").click()
    assert wide.find("#nodes summary").text == "nodes: 11 of 11"


def test_without_any_column_the_page_still_works(wide):
    wide.run("showNodes([])")
    wide.press("0", "+", "s", Keys.ARROW_DOWN)
    wide.frame()
    assert wide.find("#counts").text == "0 of 22 packets"
    wide.find(".fold").click()
    assert wide.find("#counts").text.startswith("22 packets")


# --- a picture that is wider than the window ---------------------------------------------------------------


def head_of(page, name):
    return page.run(
        "return [...document.querySelectorAll('#heads b')].find((b) => b.textContent === arguments[0])"
        ".getBoundingClientRect().left",
        name,
    )


def test_it_scrolls_sideways_by_bar_wheel_and_keys(wide):
    start = head_of(wide, "web")
    bar = wide.find("#across")
    assert bar.is_displayed()
    wide.run("arguments[0].scrollLeft = 100", bar)
    wide.until(lambda: head_of(wide, "web") == start - 100)
    wide.run("canvas.dispatchEvent(new WheelEvent('wheel', {deltaX: 50, cancelable: true}))")
    assert head_of(wide, "web") == start - 150
    wide.run("canvas.dispatchEvent(new WheelEvent('wheel', {deltaY: 50, shiftKey: true, cancelable: true}))")
    assert head_of(wide, "web") == start - 200
    wide.run("canvas.focus()")
    ActionChains(wide.driver).key_down(Keys.SHIFT).send_keys(Keys.ARROW_LEFT).key_up(Keys.SHIFT).perform()
    assert head_of(wide, "web") == start - 80
    wide.until(lambda: wide.run("return across.scrollLeft") == 80)
    wide.run("scrollAcross(-5)")
    assert head_of(wide, "web") == start


def test_a_selected_packet_is_scrolled_into_view(wide):
    assert wide.run("return view.across") == 0
    wide.run("select({kind: 'packet', index: arguments[0]})", packet(wide, "SYN", "dave"))
    x = wide.run("return wayOnScreen(view.selected.index).points[0][0] - view.across")
    assert 88 < x < 1236
    wide.run("select({kind: 'packet', index: 0})")
    assert wide.run("return view.across") == 0


def test_a_click_meets_the_arrow_after_scrolling(wide):
    wide.run("fit(); scrollAcross(1e6)")
    index = packet(wide, "SYN", "dave")
    x, y = wide.run(
        "const [a, b] = wayOnScreen(arguments[0]).points; return [(a[0] + b[0]) / 2 - view.across, a[1]]",
        index,
    )
    wide.frame()
    wide.click_at(x, y)
    assert "dave → db" in wide.panel()


def test_heads_and_page_stay_when_the_picture_scrolls(wide):
    top = wide.run("return document.getElementById('heads').getBoundingClientRect().top")
    wide.press(Keys.END)
    wide.run("scrollAcross(300)")
    assert wide.run("return view.scroll") > 0
    assert wide.run("return document.getElementById('heads').getBoundingClientRect().top") == top
    assert wide.run("return [scrollX, scrollY, document.documentElement.scrollWidth <= innerWidth]") == [
        0,
        0,
        True,
    ]


def test_the_times_stay_visible(wide):
    """The picture doesn't run over the column with the times."""
    before = wide.run(PIXELS, [[0, 0, 82, 200]])
    wide.run("scrollAcross(150)")
    wide.frame()
    assert wide.run(PIXELS, [[0, 0, 82, 200]]) == before


def test_two_thousand_packets_can_be_used(show):
    page = show(busy, size=SIZE)
    assert page.find("#counts").text.startswith("2,022 packets")
    page.press("/")
    page.press("temperature 22")
    page.until(lambda: page.find("#found").text == "1 of 1")
    page.press(Keys.ESCAPE)
    page.run("showNodes([0, 3, 4, 7])")
    shown = page.run("return view.shown.length")
    assert 0 < shown < 2022
    page.press("0")
    page.frame()
    page.press("p")
    page.press(Keys.ARROW_DOWN, Keys.ENTER)


def test_a_run_without_captures_has_a_column_for_every_node(show):

    def silent(folder):
        run = OfficeRun(folder)
        run.record["captures"] = []
        run.frames.clear()
        return run

    page = show(silent, size=SIZE)
    assert set(page.run("return view.layout.lanes.map((node) => run.nodes[node].title)")) == {
        *HOSTS,
        "edge",
        "core",
        "branch",
    }
