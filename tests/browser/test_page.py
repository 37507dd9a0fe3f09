"""trace.html in a browser: it opens offline without errors, and its items can be found, opened and read."""

from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.keys import Keys

from tests.evidence.trace_runs import Run, hello, long, lossy

SYN, TEXT, ANSWER = 0, 3, 5  # packets of `hello`, in their order


def test_it_opens_with_the_verdict_and_loads_nothing_else(show):
    page = show(hello)
    assert page.find(".verdict").text == "passed"
    assert page.find("h1").text == "tcp-hello"
    assert page.find("#counts").text == "10 packets"
    assert "seed 2815246656" in page.find(".about").text
    assert [url.rpartition("/")[2] for url in page.requests() if not url.startswith("data:")] == [
        "trace.html"
    ]


def test_a_failure_is_explained_above_all_else(show):
    page = show(lossy)
    assert page.find(".verdict").text == "failed"
    assert "assert record['digest'] == record['sent']" in page.find(".reason").text
    assert page.find(".diagnosis").text.startswith("Diagnosis\nwin10 reset the connection to port 11111")
    assert "lab run reset-on-close" in page.find(".diagnosis").text
    assert "65 packets · 12 lost · 11 retransmitted · 1 reset" in page.find("#counts").text


def test_the_link_is_shown_as_asked_and_as_measured(show):
    page = show(lossy)
    assert "by netem: to-servers: 20 ms, 20% loss; to-clients: 20 ms" in page.find(".about").text
    page.find(".more summary").click()
    assert "0.050 to-servers loss 20% 19.3% (19% … 19.7%) ✓" in page.texts(".more tr")


def test_each_host_has_a_lane_with_its_address(show):
    page = show(hello)
    assert page.texts(".head.left") == ["kali\n192.168.40.129"]
    assert page.texts(".head.right") == ["win10\n172.28.66.163"]
    assert page.texts(".head.segment") == ["clients\n192.168.40.2", "servers\n172.28.66.2"]
    lanes = page.run("return [0, 1, 2].map((node) => view.layout.columns[node].lane)")
    assert lanes == sorted(lanes)


# --- a packet, in full -----------------------------------------------------------------------------


def test_a_click_on_an_arrow_opens_its_headers(show):
    page = show(hello)
    panel = page.click_packet(SYN)
    assert panel.startswith("SYN\n")
    assert "kali → win10" in panel
    assert "0.510030 s (30 µs later)" in panel
    fields = dict(text.split("\n", 1) for text in page.texts(".field") if "\n" in text)
    assert fields["destination port"] == "8001"
    assert fields["sequence number"] == "0 (1000)"
    assert fields["time to live"] == "64"
    assert "maximum segment size 1460" in panel


def test_past_the_router_the_time_to_live_is_one_less(show):
    page = show(hello)
    page.click_packet(SYN)
    page.find(".tabs button:nth-child(2)").click()
    assert "time to live\n63" in page.texts(".field")


def test_a_payload_is_shown_as_text_and_as_bytes(show):
    page = show(hello)
    page.click_packet(TEXT)
    assert page.find("pre.text").text == "我是客户端"
    octets = " ".join(" ".join(page.texts(".octets")).split())
    assert "我是客户端".encode().hex(" ") in octets
    assert page.texts(".offset")[:2] == ["0000", "0010"]


def test_a_payload_in_gbk_is_recognized(show):
    def in_gbk(folder):
        run = Run(folder)
        run.udp(0.1, (3000, 2000), "已连接到服务器".encode("gbk"))
        return run

    page = show(in_gbk)
    page.click_packet(0)
    assert page.find("pre.text").text == "已连接到服务器"
    assert page.texts(".row .tabs [aria-pressed=true]") == ["GBK"]
    page.find(".row .tabs [data-name=utf-8]").click()
    assert "\ufffd" in page.find("pre.text").text


def test_a_field_marks_its_bytes(show):
    page = show(hello)
    page.click_packet(TEXT)
    field = next(
        f
        for f in page.driver.find_elements("css selector", ".field")
        if f.text.startswith("destination port")
    )
    page.run("arguments[0].focus()", field)
    assert page.texts(".octets .marked") == ["1f", "41"]  # 8001


def test_a_lost_packet_ends_inside_the_router(show):
    page = show(lossy)
    page.run("select({kind: 'packet', index: 0}, {open: true})")
    assert "lost in router" in page.panel()
    assert "on servers\nnot seen" in page.panel()
    edges = page.run("return view.layout.columns[1]")
    x, y = page.run("return wayOnScreen(0).points.at(-1)")
    assert edges["left"] < x < edges["right"]
    page.frame()
    red, green, blue, _ = page.run(
        "return [...pen.getImageData(...arguments, 1, 1).data]", round(x), round(y)
    )
    assert red > 150 > max(green, blue)


# --- by keys ---------------------------------------------------------------------------------------


def test_arrow_keys_step_through_the_packets(show):
    page = show(hello)
    page.press(Keys.ARROW_DOWN)
    assert page.find("#status").get_attribute("textContent").startswith("packet 1 of 10: SYN, kali to win10")
    page.press(Keys.ARROW_DOWN, Keys.ARROW_DOWN, Keys.ARROW_UP)
    assert page.run("return view.selected.index") == 1


def test_enter_opens_what_is_selected_and_escape_closes_it(show):
    page = show(hello)
    page.press(Keys.ARROW_DOWN, Keys.ENTER)
    assert page.panel().startswith("SYN\n")
    assert page.run("return document.activeElement.className") == "close"
    page.press(Keys.ESCAPE)
    assert not page.find("#details").is_displayed()
    assert page.run("return document.activeElement.id") == "chart"
    page.press(Keys.ESCAPE)
    assert page.run("return view.selected") is None


def test_right_and_left_stay_within_the_connection(show):
    page = show(lossy)
    page.run("select({kind: 'packet', index: packets.protocol.indexOf(run.protocols.indexOf('UDP'))})")
    page.press(Keys.ARROW_RIGHT)
    assert page.run("return labelOf(view.selected.index)") == "UDP 14 bytes"
    page.press(Keys.ARROW_RIGHT)
    assert page.run("return labelOf(view.selected.index)") == "UDP 14 bytes"


def test_zoom_fit_and_scroll_keys(show):
    page = show(lossy)
    page.press("+")
    assert page.run("return view.zoom") > 1
    page.press(Keys.END)
    assert page.run("return view.scroll") > 0
    page.press("0")
    assert page.run("return [view.scroll, totalHeight() <= view.height + 1]") == [0, True]
    page.press("-")
    assert page.run("return totalHeight() <= view.height + 1")


def test_question_mark_lists_the_keys(show):
    page = show(hello)
    page.press("?")
    assert page.find("#help").is_displayed()
    listed = " ".join(page.texts(".keys dt"))
    for key in ("↓ ↑", "Enter", "Esc", "/", "+ −", "0", "?"):
        assert key in listed
    page.press(Keys.ESCAPE)
    assert not page.find("#help").is_displayed()


def test_every_control_has_a_name_and_shows_its_focus(show):
    page = show(lossy)
    unnamed = page.run(
        "const named = (c) => c.getAttribute('aria-label') || c.textContent.trim() || c.labels?.length;"
        "const controls = [...document.querySelectorAll('button, select, input, canvas')];"
        "return controls.filter((c) => !named(c)).map((c) => c.outerHTML)"
    )
    assert unnamed == []
    page.press(Keys.TAB)
    outline = "const s = getComputedStyle(document.activeElement); return [s.outlineStyle, s.outlineWidth]"
    assert page.run(outline) == ["solid", "2px"]


# --- search and filter -----------------------------------------------------------------------------


def test_search_finds_payload_lines_flags_and_ports(show):
    page = show(hello)
    for needle, tally in (("我是服务端", 2), ("fin ack", 2), ("listening on", 1), ("8001", 19)):
        page.press("/")
        page.press(needle)
        page.until(lambda tally=tally: page.find("#found").text == f"1 of {tally}")
        page.press(Keys.ESCAPE)
        assert page.run("return view.selected !== null")
    page.press("/")
    page.press("no such thing", Keys.ENTER)
    page.until(lambda: page.find("#found").text == "nothing found")


def test_n_goes_to_the_next_match(show):
    page = show(lossy)
    page.press("/")
    page.press("retransmission")
    page.until(lambda: page.find("#found").text == "1 of 11")
    first = page.run("return view.selected.index")
    page.press(Keys.ESCAPE, "n")
    assert page.find("#found").text == "2 of 11"
    assert page.run("return view.selected.index") > first
    page.press("N")
    assert page.run("return view.selected.index") == first
    page.press("/", Keys.ENTER)
    assert page.find("#found").text == "2 of 11"
    ActionChains(page.driver).key_down(Keys.SHIFT).send_keys(Keys.ENTER).key_up(Keys.SHIFT).perform()
    assert page.find("#found").text == "1 of 11"


def choose(page, field, text):
    option = next(o for o in page.driver.find_elements("css selector", f"#{field} option") if o.text == text)
    option.click()


def test_filters_hide_the_other_packets(show):
    page = show(lossy)
    choose(page, "protocol", "UDP")
    assert page.find("#counts").text == "2 of 65 packets · 1 lost"
    choose(page, "protocol", "all protocols")
    choose(page, "connection", "TCP kali:51514 → win10:11111")
    assert page.find("#counts").text.startswith("63 of 65 packets")
    choose(page, "connection", "all connections")
    page.press("p")
    assert page.run("return view.shown.every((i) => packets.marks[i] & PROBLEM)")
    assert page.find("#problems").get_attribute("aria-pressed") == "true"
    page.press("p")
    page.find("[data-kind=packets]").click()
    assert page.find("#counts").text == "0 of 65 packets"


def test_hosts_and_kinds_can_be_hidden(show):
    page = show(hello)
    choose(page, "node", "win10")
    nodes = "return [...new Set(view.events.map((i) => run.events[i].node))].map((n) => nodeName(n))"
    assert "kali" not in page.run(nodes)
    choose(page, "node", "all hosts")
    page.find("[data-kind=output]").click()
    assert page.run(
        "return view.events.every((i) => run.events[i].kind === 'note' || run.events[i].kind === 'verdict')"
    )
    page.find("[data-kind=sockets]").click()
    assert page.run("return view.sockets.length") == 0


# --- time ------------------------------------------------------------------------------------------


def waiting(folder):
    """A second of traffic on both sides of half a minute of silence."""
    run = Run(folder, record={"seconds": 32})
    for number in range(10):
        run.udp(0.1 * number, (3000, 2000), b"before")
        run.udp(31 + 0.1 * number, (3000, 2000), b"after")
    return run


def test_idle_time_is_squeezed_on_request(show):
    page = show(waiting)
    gap = "return (view.first[10] - view.first[9]) / (view.first[19] - view.first[0])"
    assert page.run(gap) < 0.3
    page.press("s")
    assert 0.9 < page.run(gap) < 1
    assert page.find("#squeeze").get_attribute("aria-pressed") == "false"
    page.press("s")
    assert page.run(gap) < 0.3


def test_order_is_kept_whatever_the_scale(show):
    page = show(lossy)
    for _ in range(2):
        assert page.run(
            "const y = view.shown.map((i) => view.first[i]); return y.every((v, i) => !i || y[i - 1] <= v)"
        )
        page.press("s")


def test_labels_have_room(show):
    page = show(lossy)
    page.frame()
    for rightward in (True, False):
        sent = "view.shown.filter((i) => isRightward(i) === arguments[0])"
        side = page.run(f"return {sent}.map((i) => view.first[i])", rightward)
        assert all(after - before >= 15 for before, after in zip(side, side[1:], strict=False))


def test_wheel_scrolls_and_with_control_zooms_where_the_pointer_is(show):
    page = show(lossy)
    wheel = (
        "const [y, ctrlKey] = arguments; canvas.dispatchEvent(new WheelEvent('wheel',"
        " {deltaY: y, ctrlKey, clientX: 600, clientY: 500, bubbles: true, cancelable: true}));"
    )
    page.run(wheel, 300, False)
    assert page.run("return view.scroll") == 300
    height = 500 - page.run("return canvas.getBoundingClientRect().top")
    before = page.run("return fromScreen(arguments[0])", height)
    page.run(wheel, -200, True)
    assert page.run("return view.zoom") > 1.5
    assert abs(page.run("return fromScreen(arguments[0])", height) - before) < 1


def test_two_fingers_zoom_and_one_pans(show):
    page = show(lossy)
    top = page.run("return canvas.getBoundingClientRect().top")

    def touch(kind, *heights):
        points = [{"x": 500 + 40 * at, "y": top + height, "id": at} for at, height in enumerate(heights)]
        page.driver.execute_cdp_cmd("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})

    before = page.run("return fromScreen(200)")
    touch("touchStart", 150)
    touch("touchStart", 150, 250)
    touch("touchMove", 100, 300)
    touch("touchEnd")
    assert 1.5 < page.run("return view.zoom") < 3
    assert abs(page.run("return fromScreen(200)") - before) < 12
    scroll = page.run("return view.scroll")
    touch("touchStart", 300)
    touch("touchMove", 250)
    touch("touchMove", 200)
    touch("touchEnd")
    assert page.run("return view.scroll") == scroll + 100


def test_dragging_pans(show):
    page = show(lossy)
    chain = ActionChains(page.driver).move_to_element(page.find("#chart"))
    chain.click_and_hold().move_by_offset(0, -120).release().perform()
    assert page.run("return view.scroll") == 120
    assert page.run("return view.selected") is None


# --- a long run, small windows, colours --------------------------------------------------------------


def spell(page):
    """Draws the picture once more. Returns the texts in it."""
    page.run(
        "const plain = pen.fillText; window.written = []; pen.fillText = function (text, ...at) {"
        " window.written.push(text); plain.call(this, text, ...at); }; redraw()"
    )
    page.frame()
    return page.run("return window.written")


def test_twenty_thousand_packets_open_and_can_be_used(show):
    page = show(long)
    assert page.find("#counts").text.startswith("20,010 packets · 10 lost · 10 retransmitted")
    page.press("0")
    page.frame()
    written = spell(page)
    assert "20,010 packets in view: zoom in to see them one by one" in written
    page.press("p")
    page.until(lambda: page.find("#counts").text.startswith("20 of 20,010 packets"))
    panel = page.click_packet(page.run("return view.shown[0]"))
    assert "lost in router" in panel


def test_a_narrow_window_cuts_nothing_off(show):
    page = show(lossy, size=(420, 800))
    page.press(Keys.ARROW_DOWN, Keys.ENTER)
    assert page.panel()
    assert page.run("return document.documentElement.scrollWidth <= innerWidth")
    assert page.run("return view.height") >= 150


def luminance(colour):
    channels = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one, other):
    dark, light = sorted((luminance(one), luminance(other)))
    return (light + 0.05) / (dark + 0.05)


def check_colours(page):
    colours = page.run("return colours")
    for name in ("ink", "soft", "bad", "warn", "good", "note", "code"):
        assert contrast(colours[name], colours["page"]) >= 4.5, name
    for colour in colours["connections"]:
        assert contrast(colour, colours["page"]) >= 4.5, colour
    return colours["page"]


def test_light_and_dark_follow_the_system_and_the_switch(show):
    page = show(hello)
    light = check_colours(page)
    page.press("t")
    dark = check_colours(page)
    assert (luminance(light) > 0.9, luminance(dark) < 0.1) == (True, True)
    assert page.run("return getComputedStyle(document.body).backgroundColor") == "rgb(18, 22, 27)"
    page.frame()
    assert page.run("return [...pen.getImageData(2, view.height - 2, 1, 1).data]") == [18, 22, 27, 255]


def test_dark_from_the_start(show):
    page = show(hello, dark=True)
    assert luminance(check_colours(page)) < 0.1
    page.find("#theme").click()
    assert luminance(check_colours(page)) > 0.9


# --- what the run lacks ------------------------------------------------------------------------------


def test_a_run_that_never_began_has_a_page(show):
    def nothing(folder):
        record = {
            "verdict": "fail",
            "reason": "no lab 'x' is up",
            "nodes": {},
            "captures": [],
            "versions": {},
        }
        return Run(folder, record)

    page = show(nothing)
    assert page.find(".reason").text == "no lab 'x' is up"
    page.press(Keys.ARROW_DOWN, Keys.ENTER, "0", "s", "+")
    page.find(".cut summary").click()
    assert "nothing was captured" in page.find(".cut").text


def test_socket_states_are_bars_with_names(show):
    page = show(hello)
    states = page.run("return view.sockets.map((i) => run.sockets[i].state)")
    assert {"LISTEN", "SYN_SENT", "ESTABLISHED", "FIN_WAIT2", "TIME_WAIT"} <= set(states)
    page.frame()
    box = page.run(
        "return boxes.find((b) => b.kind === 'socket' && run.sockets[b.index].state === 'ESTABLISHED')"
    )
    page.click_at(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    panel = page.panel()
    assert panel.startswith("ESTABLISHED on kali")
    assert [line.split()[1] for line in page.texts(".life li")] == ["SYN_SENT", "ESTABLISHED"]


def test_sockets_without_room_are_counted(show):
    def crowd(folder):
        run = Run(folder)
        for number in range(20):
            run.socket(
                0.1, "win10", number, "ESTABLISHED", "172.28.66.163:80", f"192.168.40.129:{number + 1}"
            )
        return run

    page = show(crowd)
    assert "+14 sockets" in spell(page)


def test_a_fault_is_a_band_from_its_start_to_its_end(show):
    page = show(lossy)
    band = page.run("return run.bands.find((b) => b.text === 'paused')")
    assert band["to"] - band["from"] == 1_500_000
    assert page.run("return run.nodes[arguments[0]].title", band["node"]) == "win10"
    link = page.run("return run.bands.find((b) => b.kind === 'link')")
    assert link["from"] == 50_000


def test_address_resolution_is_shown_on_request(show):
    def chatter(folder):
        run = hello(folder)
        request = bytes.fromhex(
            "ffffffffffff0242c0a828810806"
            + "0001080006040001"
            + "0242c0a82881c0a82881"
            + "000000000000c0a82802"
        )
        run.seen("clients", 0.4, request)
        return run

    page = show(chatter)
    assert page.find("#counts").text == "10 of 11 packets (1 ARP, ND hidden)"
    page.find("[data-kind=chores]").click()
    assert page.find("#counts").text == "11 packets"
    panel = page.click_packet(0)
    assert "who has 192.168.40.2? tell 192.168.40.129" in panel
