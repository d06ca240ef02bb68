from __future__ import annotations

import pytest

from include.modeling.backtest.report import (
    COLUMNS,
    draw_nights,
    format_night,
    render_page,
    report_path,
    terminal_table,
)
from include.modeling.backtest.walk_forward import Backtest, NightlyResult

PASSED = NightlyResult(
    "2013-01-17",
    "passed",
    runs=2,
    last_day="2013-01-16",
    test_days=4,
    train_rows=1200,
    test_rows=160,
    metric=0.71,
    interval=(0.68, 0.74),
    baseline=0.5,
    champion=2,
    champion_metric=0.9,
    champion_overlap=3,
)
MISSING = NightlyResult("2013-01-18", "no run")
BACKTEST = Backtest("<late>", "roc_auc", (PASSED, MISSING))


def test_a_night_is_formatted_by_column():
    assert dict(zip(COLUMNS, format_night(PASSED), strict=True)) == {
        "as of": "2013-01-17",
        "gates": "passed",
        "train rows": "1,200",
        "test rows": "160",
        "days to": "2013-01-16 (4)",
        "metric": "0.7100",
        "95 %": "0.6800 to 0.7400",
        "baseline": "0.5000",
        "champion": "0.9000* (version 2)",
        "runs": "2",
    }


@pytest.mark.parametrize("overlap", [0, None])
def test_a_champion_without_overlap_has_no_mark(overlap):
    result = NightlyResult("2013-01-17", "passed", champion=2, champion_metric=0.9, champion_overlap=overlap)
    assert "0.9000 (version 2)" in format_night(result)


def test_a_night_without_run_is_empty():
    assert format_night(MISSING) == ("2013-01-18", "no run", "", "", "", "", "", "", "", "0")


def test_the_terminal_table_has_one_row_per_night():
    assert terminal_table(BACKTEST).row_count == 2


def test_the_page_contains_all_nights_and_escapes_texts():
    page = render_page(BACKTEST)
    assert page.count("<tr>") == 3
    assert "<td>0.9000* (version 2)</td>" in page
    assert "data:image/png;base64,iVBOR" in page
    assert "<late>" not in page
    assert "&lt;late&gt;: roc_auc" in page


def test_the_figure_is_a_png():
    assert draw_nights(BACKTEST).startswith(b"\x89PNG")


def test_the_report_path_names_use_case_and_range():
    assert report_path(BACKTEST) == "backtests/<late>/2013-01-17_2013-01-18.html"
