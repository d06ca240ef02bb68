from __future__ import annotations

import pandas as pd

from include.storage.html_tables import format_table, render_table_page

FRAME = pd.DataFrame({"id": ["a", "b", "c"], "speed": [1.5, None, 3.0]})


def test_text_table_shows_the_first_rows_and_counts_the_others():
    text = format_table(FRAME, max_rows=2)
    assert text.splitlines()[-1] == "… and 1 more"
    assert "nan" not in text.lower()
    assert "more" not in format_table(FRAME)
    assert format_table(FRAME.iloc[:0]) == "(nothing)"


def test_page_shows_the_first_rows_and_counts_the_others():
    page = render_table_page("Cars", "Too fast", FRAME, max_rows=2)
    assert "<tr><th>id</th><th>speed</th></tr>" in page
    assert "<tr><td>b</td><td></td></tr>" in page
    assert "<td>c</td>" not in page
    assert "… and 1 more." in page


def test_page_escapes_every_text():
    script = "<script>alert(1)</script>"
    page = render_table_page(script, script, pd.DataFrame({script: [script]}))
    assert "<script>" not in page
    assert page.count("&lt;script&gt;alert(1)") == 5
