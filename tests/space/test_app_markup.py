"""Nothing that a model writes becomes a tag, a link, a picture or code; mathematics and emphasis stay."""

import html
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from markup import bars, heading, problem, prose, status


@pytest.mark.parametrize(
    "text",
    [
        "<script>alert(1)</script>",
        "<img src=x onerror=alert(1)>",
        "![a](https://evil.example/a.png)",
        "[a](javascript:alert(1))",
        "[a]: https://evil.example",
        "https://evil.example and www.evil.example and me@evil.example",
        "```mermaid\ngraph TD\n```",
        "    <b>code</b>",
        "`<b>`",
        "%%%LATEX_BLOCK_0%%%",
        "$<img src=x onerror=alert(1)>$",
        r"\(<b>\)",
        "| a | b |\n| --- | --- |",
        "~~gone~~",
        "&lt;b&gt;",
    ],
)
def test_active_signs_are_shown_as_what_they_are(text):
    shown = prose(text)
    assert not re.search(r"[<>\[\]!`|~%@]|://|www\.|^ {4}|&(?!#\d+;)", shown, re.MULTILINE)


@given(st.text(st.sampled_from("a1 *_$\\<>&[]()!`|~%@:/w.\n"), max_size=40))
def test_no_text_makes_a_tag_a_link_or_code(text):
    assert not re.search(r"[<>\[!`|]|://|&(?!#\d+;)", prose(text))


@given(st.text(st.sampled_from("ab1 <>&[]!`|~%_\n"), max_size=40))
def test_words_without_mathematics_are_all_there(text):
    assert html.unescape(prose(text)) == text


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("so $x^2 = 4$ holds", r"so \(x^2 = 4\) holds"),
        (r"so \( x_1 \) holds", r"so \(x_1\) holds"),
        ("$$a *b* c$$", "$$ a *b* c $$"),
        (r"\[\frac{1}{2}\]", r"$$ \frac{1}{2} $$"),
        ("$a < b$", r"\(a \lt  b\)"),
        ("it costs $5 and $6", "it costs &#36;5 and &#36;6"),
        ("half a $\\frac{1", "half a &#36;&#92;frac{1"),
        ("**sum**\n\n* one\n* two", "**sum**\n\n* one\n* two"),
        ("2*3*4", "2&#42;3&#42;4"),
        ("2 * 3 * 4", "2 * 3 * 4"),
    ],
)
def test_mathematics_and_emphasis_stay_and_arithmetic_is_neither(text, shown):
    assert prose(text) == shown


def test_the_longest_thinking_has_the_longest_bar():
    drawn = bars([("a", 50), ("b", 100), ("c", None)])
    assert re.findall(r"--share: ([\d.]+)", drawn) == ["0.500", "1.000", "0.000"] and "waiting" in drawn


@pytest.mark.parametrize("make", [status, problem, lambda text: heading(text, text), lambda text: bars([(text, 1)])])
def test_labels_and_messages_are_text(make):
    assert "<b>" not in make("<b>").replace("<b>1 token</b>", "")
