"""Lessons as Markdown: a reader of the page sees what a reader of the terminal sees."""

import pytest
from markdown_it import MarkdownIt

from docs.tools.escaping import fenced, prose


def seen(markdown):
    """The text of each block, as a reader sees it."""
    return [
        "".join(part.content for part in token.children) if token.children else token.content
        for token in MarkdownIt().parse(markdown)
        if token.content
    ]


@pytest.mark.parametrize(
    "text",
    [
        "recv(*args, **options) and *this*",
        "_private and __init__, but tcp_tw_reuse",
        "a <b> and <script>x</script> and <https://a.b>",
        "one ` alone",
        "C:\\*.txt",
        "&lt; & &amp; costs $1 or $2, ~~not~~ 3",
    ],
)
def test_markup_is_text(text):
    assert seen(prose(text)) == [text]


def test_code_is_code():
    assert prose("`a_b *c*` and *d*") == "`a_b *c*` and \\*d\\*"
    assert seen(prose("`a_b *c*` and *d*")) == ["a_b *c* and *d*"]


def test_indented_blocks_stay_as_they_are():
    assert seen(prose("text\n\n    a  *──▶ <b>  `c` \\\n      _d_\n")) == [
        "text",
        "a  *──▶ <b>  `c` \\\n  _d_\n",
    ]


def test_names_within_words_are_not_touched():
    assert prose("tcp_tw_reuse, SO_REUSEADDR") == "tcp_tw_reuse, SO_REUSEADDR"


@pytest.mark.parametrize(
    ("text", "joined"),
    [
        ("发回\n客户端", "发回客户端"),
        ("发回，\n客户端", "发回，客户端"),
        ("发回，\nrecv 去读", "发回，recv 去读"),
        ("recv\n“那个回答”", "recv“那个回答”"),
        ("用 recv\n去读", "用 recv\n去读"),
        ("调用\nrecv", "调用\nrecv"),
        ("发回：\n\n    图", "发回：\n\n    图"),
        ("发回：\n- 一\n- 二", "发回：\n- 一\n- 二"),
        ("发回：\n1. 一", "发回：\n1. 一"),
        ("two\nlines", "two\nlines"),
    ],
)
def test_lines_of_chinese_are_joined_without_a_space(text, joined):
    assert prose(text) == joined


@pytest.mark.parametrize("text", ["plain", "```\nforged\n```", "a ```` b", "~~~", ""])
def test_no_text_closes_its_block(text):
    (block,) = [
        token for token in MarkdownIt().parse(fenced(text, "text") + "\n\nafter") if token.type == "fence"
    ]
    assert block.content == f"{text}\n"
    assert block.info == "text"
