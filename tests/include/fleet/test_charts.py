"""Charts of the panels."""

from __future__ import annotations

from datetime import UTC, datetime
from xml.etree import ElementTree

from include.fleet.charts import Chart, draw_chart

MOMENTS = [datetime(2013, 7, day, tzinfo=UTC) for day in (1, 2, 3)]


def test_chart_is_the_same_svg_each_time():
    chart = Chart("share", MOMENTS, {"drift": [0.1, None, 0.3], "<script>": [1, 2, 3]})
    content = draw_chart(chart)
    assert ElementTree.fromstring(content).tag.endswith("svg")
    assert content == draw_chart(chart)
    assert b"<script" not in content


def test_chart_without_values_is_empty():
    assert Chart("share", MOMENTS, {"drift": [None, None, None]}).is_empty
    assert not Chart("share", MOMENTS, {"drift": [None, 0.0, None]}).is_empty


def test_chart_of_one_moment_shows_its_day_and_no_year():
    content = draw_chart(Chart("share", MOMENTS[:1], {"drift": [0.1]}))
    assert b"2013-Jul-01" in content
    assert b"2012" not in content
