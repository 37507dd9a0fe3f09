"""The page is shown in the reader's language; its previews follow the same rule as those in Python."""

import pytest
from babel.messages import Catalog
from babel.messages.mofile import write_mo

from lab import locale
from lab.evidence.trace import render
from tests.browser.test_hostile import MARKUP, hostile
from tests.evidence.packets.test_packet import PREVIEWS
from tests.evidence.trace_runs import Run, hello, lossy

CHINESE = {
    "passed": "通过",
    "packets": "分组",
    "all hosts": "所有主机",
    "{count} packets": "{count} 个分组",
    "{source} to {target}": "{source} 到 {target}",
    "fate": "结果",
    "paused": "已暂停",
    "lost in {router}": "在 {router} 中丢失",
    "search lines, flags, ports and payload (/)": "搜索输出、标志、端口和数据 (/)",
    "link by {backend}: {settings}": "链路由 {backend} 模拟：{settings}",
    "took {seconds:.2f} s": "用时 {seconds:.2f} 秒",
    "{scenario} {verdict} · Socket Lab": "{scenario} {verdict} · 套接字实验环境",
}


@pytest.fixture
def catalog(tmp_path, monkeypatch):
    """A compiled catalog with CHINESE in the place of the project's own."""
    folder = tmp_path / "locale" / "zh_CN" / "LC_MESSAGES"
    folder.mkdir(parents=True)
    texts = Catalog(locale="zh_CN")
    for text, translation in CHINESE.items():
        texts.add(text, translation)
    with open(folder / f"{locale.DOMAIN}.mo", "wb") as file:
        write_mo(file, texts)
    monkeypatch.setattr(locale, "FOLDER", tmp_path / "locale")
    locale._catalog.cache_clear()
    yield
    locale._catalog.cache_clear()


def check_chinese(page):
    assert page.run("return document.documentElement.lang") == "zh-CN"
    assert page.find(".verdict").text == "通过"
    assert page.find("#counts").text == "10 个分组"
    assert page.find("[data-kind=packets]").text == "分组"
    assert page.find("#node option").text == "所有主机"
    assert page.find("#search").get_attribute("title") == "搜索输出、标志、端口和数据 (/)"
    assert page.driver.title == "tcp-hello 通过 · 套接字实验环境"
    assert "用时 1.20 秒" in page.find(".about").text
    assert "kali 到 win10" in page.run("return describe(0)")


@pytest.mark.parametrize("accepted", ["zh-CN", "zh-TW,zh", "fr,zh-CN,en"])
def test_the_browser_s_language_is_taken(show, catalog, accepted):
    check_chinese(show(hello, accepted=accepted))


def test_another_language_is_english(show, catalog):
    page = show(hello, accepted="fr-FR,fr")
    assert page.run("return document.documentElement.lang") == "en"
    assert page.find(".verdict").text == "passed"


def test_the_language_asked_for_comes_first(show, catalog):
    check_chinese(show(hello, language="zh-CN", accepted="en-US"))


def test_the_switch_changes_the_language_and_changes_it_back(show, catalog):
    page = show(hello)
    english = page.find("body").text
    assert page.texts("#language option") == ["English", "简体中文"]
    page.find("#language option[value=zh-CN]").click()
    check_chinese(page)
    page.find("#language option[value=en]").click()
    assert page.find("body").text == english


def test_open_details_follow_the_language(show, catalog):
    page = show(lossy)
    page.run("select({kind: 'packet', index: 0}, {open: true})")
    page.find("#language option[value=zh-CN]").click()
    assert "结果\n在 router 中丢失" in page.panel()
    assert "链路由 netem 模拟：to-servers: 20 ms, 20% loss" in page.find(".about").text


def test_faults_are_translated_but_output_is_not(show, catalog):
    def paused(folder):
        run = lossy(folder)
        run.print(0.5, "kali", "paused", 2)
        return run

    page = show(paused, language="zh-CN")
    texts = page.run(
        "return [run.bands, run.events].map((rows) => rows.filter((r) => r.text === 'paused').map(textOf))"
    )
    assert texts == [["已暂停"], ["paused", "已暂停"]]


def test_a_text_without_a_translation_stays_english(show, catalog):
    page = show(hello, language="zh-CN")
    assert page.find("[data-kind=sockets]").text == "sockets"


def test_hostile_texts_stay_harmless_in_every_language(show, catalog):
    page = show(hostile, language="zh-CN")
    page.find("#language option[value=en]").click()
    page.find("#language option[value=zh-CN]").click()
    assert page.run("return window.taken === undefined")
    assert page.run("return document.querySelectorAll('img, svg, header script').length") == 0
    assert MARKUP in page.find(".diagnosis").text


@pytest.mark.parametrize("text", ["__proto__", "constructor", "{count}", "{toString}", "$&", "packets"])
def test_data_is_never_taken_for_a_text_of_the_page(show, catalog, text):
    def named(folder):
        run = hello(folder)
        run.record = {"scenario": text, "title": text, "reason": text}
        return run

    page = show(named, language="zh-CN")
    assert page.find("h1").text == page.find(".title").text == page.find(".reason").text == text
    assert page.driver.title == f"{text} 通过 · 套接字实验环境"
    assert (
        page.run("return t('{source} to {target}', {source: arguments[0], target: 'x'})", text)
        == f"{text} 到 x"
    )


def test_every_text_of_the_code_is_in_the_table(show, catalog):
    """Otherwise a text would silently stay English."""
    asked = "const asked = []; const get = texts.get.bind(texts); texts.get = (x) => (asked.push(x), get(x));"
    page = show(lossy, language="zh-CN")
    page.run(f"{asked} window.asked = asked;")
    page.run("run.events.forEach((_, index) => select({kind: 'event', index}, {open: true}))")
    page.run("run.sockets.forEach((_, index) => select({kind: 'socket', index}, {open: true}))")
    page.run("run.bands.forEach((_, index) => select({kind: 'band', index}, {open: true}))")
    page.run("for (const index of [0, 1, 30]) select({kind: 'packet', index}, {open: true}); refilter();")
    of_events = page.run("return [...run.events, ...run.bands].map((row) => row.text)")
    used = set(page.run("return window.asked")) - set(of_events)
    assert len(used) > 30
    assert used <= set(render.texts_of(render._code()))


@pytest.mark.parametrize(("payload", "length", "shown"), PREVIEWS)
def test_a_preview_follows_the_same_rule_as_in_python(plain, payload, length, shown):
    found = plain.run("return preview(Uint8Array.from(arguments[0]), arguments[1])", list(payload), length)
    assert found == shown or (shown.startswith("“x") and found.startswith(shown[:-1]))  # it shows more


@pytest.fixture
def plain(show):
    return show(Run)
