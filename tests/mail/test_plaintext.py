"""The text that is made from HTML."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tocsin.mail.plaintext import html_to_text


@pytest.mark.parametrize(
    ("html", "text"),
    [
        ("", "\n"),
        ("a", "a\n"),
        ("a\n  b\tc", "a b c\n"),
        ("a &lt;b&gt; &amp; &#252;", "a <b> & ü\n"),
        ("<p>a</p><p>b</p>", "a\n\nb\n"),
        ("<h1>A</h1>b<br>c", "A\nb\nc\n"),
        ("<div>a</div>\n\n\n<div> b </div>", "a\n\nb\n"),
        ("<ul><li>a</li><li>b</li></ul>", "- a\n\n- b\n"),
        ("<table><tr><td>a</td><td>b</td></tr><tr><th>c</th></tr></table>", "a b\n\nc\n"),
        ("<pre>def f():\n    return 1</pre>x", "def f():\n    return 1\nx\n"),
        ("<pre>  a</pre>", "  a\n"),
        ('<a href="https://x">here</a>', "here [https://x]\n"),
        ('<a href="https://x">https://x</a>', "https://x\n"),
        ('<a href="mailto:a@x">a</a> <a>b</a>', "a b\n"),
        ('<a href="http://x">a<a href="http://y">b</a></a>', "ab [http://y]\n"),
        ('<img alt="logo"><img>', "logo\n"),
        ("<script>x</script><style>y</style>z", "z\n"),
        ("<head><title>t</title></head><body>a</body>", "a\n"),
        ("<head><title>t</title><body>a", "a\n"),
        ("<template>x</template>a</template></pre>b", "a\nb\n"),
        ("<!-- x -->a", "a\n"),
    ],
)
def test_html_becomes_readable_text(html: str, text: str) -> None:
    """In order of the tags; an end tag may be missing or too many, as browsers allow."""
    assert html_to_text(html) == text


@pytest.mark.parametrize(
    "html",
    [
        "<pre>a" + " " * 200_000 + "b</pre>",
        "<tr>x" + "<td></td>" * 50_000 + "y",
        "<b>" * 50_000 + "x",
        '<a href="http://x">' * 20_000,
        "a\n" * 100_000,
    ],
)
def test_takes_time_in_proportion_to_the_size(html: str) -> None:
    started = time.process_time()
    html_to_text(html)
    assert time.process_time() - started < 3


@given(st.text(alphabet="<>/ab pre&;\n\"'=!-"))
def test_takes_anything(html: str) -> None:
    assert html_to_text(html).endswith("\n")
