from __future__ import annotations

from dataclasses import replace
from datetime import date, timedelta

import pandas as pd
import pytest

from airworthy import assets
from airworthy.hooks.lake import LakeHook
from airworthy.operators.publication import PublishDatasetOperator, PublishSourceOperator
from include.catalog import catalog
from include.data.snapshots import label_completeness
from include.declarations import ViewSource
from include.errors import DataError
from include.features.flight_features import FEATURE_VIEW as VIEW
from tests.plugins.conftest import pin_catalog

INPUTS = assets.inputs_asset("flight_features")
DAYS = [date(2013, 6, 30), date(2013, 7, 1), date(2013, 7, 2)]


@pytest.fixture
def publish(lake, context):
    """Publish days of a dataset as a run does, and return what it announced to the feature view."""

    def run(dataset, days, run):
        frame = f"{dataset}.parquet"
        rows = pd.DataFrame({"id": "x", "_airworthy_day": [str(day) for day in days]})
        operator = PublishDatasetOperator(task_id="publish", dataset=dataset, frame=frame)
        task_context = context(run, params={"first": str(days[0]), "last": str(days[-1])})
        operator.frame = LakeHook().staging.write("some run", dataset, rows)
        operator.execute(task_context)
        return task_context["outlet_events"][INPUTS].partition_keys

    return run


def test_a_bulk_run_announces_its_complete_days_as_one_range(publish):
    publish("weather", DAYS, {})
    assert publish("flights", DAYS[1:], {}) == {"2013-07-01..2013-07-02"}


def test_a_run_of_one_day_announces_each_day_that_it_completes(publish):
    publish("flights", DAYS, {})
    publish("weather", [DAYS[0] - timedelta(days=1)], {})
    assert publish("weather", [DAYS[1]], {"partition_key": "2013-07-01"}) == {"2013-07-02"}


def test_day_without_all_inputs_is_not_announced_but_logged(publish, capsys):
    assert publish("flights", [DAYS[1]], {"partition_key": "2013-07-01"}) == {"incomplete 2013-07-01"}
    assert "flight_features of 2013-07-01 waits for weather 2013-06-30" in capsys.readouterr().out


def test_labels_say_which_part_of_each_day_has_landed(flown, context, use_case, capsys):
    days = flown.days("arrivals")[:2]
    rows = flown.read("arrivals", days).assign(air_time=100.0)
    half = rows[rows["_airworthy_day"] == str(days[0])].iloc[::2]
    staged = LakeHook().staging.write(
        "some run", "arrivals", pd.concat([half, rows[rows["_airworthy_day"] != str(days[0])]])
    )
    run = context(params={"first": str(days[0]), "last": str(days[1])})
    operator = PublishDatasetOperator(task_id="publish", dataset="arrivals", frame=staged)
    operator.execute(run)
    assert run["ti"].pushed["completeness"][use_case.name] == {str(days[0]): 0.5, str(days[1]): 1.0}
    message = (
        f"{use_case.name}: 50.0 % of the labels of {days[0]} have landed; training uses the day from 90 % on"
    )
    assert message in capsys.readouterr().out


def test_labels_may_come_before_any_feature(lake, context):
    rows = pd.DataFrame({"flight_id": ["a"], "arr_delay": [1.0], "_airworthy_day": ["2013-07-01"]})
    staged = LakeHook().staging.write("some run", "arrivals", rows)
    run = context({"partition_key": "2013-07-01"})
    PublishDatasetOperator(task_id="publish", dataset="arrivals", frame=staged).execute(run)
    assert all(days == {} for days in run["ti"].pushed["completeness"].values())


def test_labels_that_cannot_be_counted_do_not_fail_the_task(lake, context, monkeypatch, capsys):
    def refuse(*arguments):
        raise DataError("arrivals has no column flight_id")

    monkeypatch.setattr(label_completeness, "label_completeness", refuse)
    rows = pd.DataFrame({"id": ["a"], "_airworthy_day": ["2013-07-01"]})
    staged = LakeHook().staging.write("some run", "arrivals", rows)
    run = context({"partition_key": "2013-07-01"})
    assert PublishDatasetOperator(task_id="publish", dataset="arrivals", frame=staged).execute(run) >= 0
    assert "flight_delay: its labels were not counted" in capsys.readouterr().out


def test_dataset_without_feature_view_is_announced_alone():
    operator = PublishDatasetOperator(task_id="publish", dataset="arrivals", frame="some frame")
    assert operator.outlets == [assets.dataset("arrivals")]


def test_view_is_announced_to_the_views_that_read_it(lake, context, monkeypatch):
    nested = VIEW.model_copy(update={"name": "nested", "sources": (ViewSource(dataset=VIEW.name),)})
    views = {**catalog().feature_views, "nested": nested}
    pin_catalog(monkeypatch, replace(catalog(), feature_views=views))
    rows = pd.DataFrame({"id": ["x"], "_airworthy_day": ["2013-07-01"]})
    frame = LakeHook().staging.write("some run", VIEW.name, rows)
    operator = PublishSourceOperator(
        task_id="publish", table=VIEW.name, frame=frame, outlets=[assets.feature_view(VIEW.name)]
    )
    run = context({"partition_key": "2013-07-01"}, params={"first": None, "last": None})
    operator.execute(run)
    assert run["outlet_events"][assets.inputs_asset("nested")].partition_keys == {"2013-07-01"}
