"""A declared column may have any name that the project uses for a column of its own."""

from __future__ import annotations

from datetime import date, timedelta
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from include.catalog import Catalog
from include.data.feature_store import client
from include.data.feature_store.historical import historical
from include.data.features.build import build_features
from include.data.lake.delta_tables import Lake
from include.data.snapshots import snapshot as snapshots
from include.data.snapshots.label_completeness import label_completeness
from include.data.snapshots.splits import split_rows
from include.data.validation.batch import Batch
from include.data.validation.runner import PartitionRules, validate_partition
from include.declarations import (
    Column,
    Dataset,
    FeatureView,
    FileSource,
    Label,
    Online,
    Split,
    Threshold,
    UseCase,
    ViewSource,
)
from include.modeling.evaluation.baseline import baseline_predictions
from include.monitoring import label_quality, windows
from tests.scored_frames import score_frame

# Every name of an internal column without its prefix, and Feast's own names.
NAMES = (
    "order", "place", "position", "event_timestamp", "event_time", "published_at", "created_ts", "day",
    "hour", "target", "prediction", "version", "at", "landed", "labelled", "due", "origin", "where",
    "rows", "size",
)  # fmt: skip
DAYS = [date(2013, 1, day) for day in range(1, 5)]
ROWS_PER_DAY = 5


def dataset(name, columns):
    return Dataset(
        name=name,
        owner="ann",
        description="Orders, or what became of them.",
        source=FileSource(path=f"{name}/{{partition}}.csv"),
        columns=columns,
        key=(columns[0].name,),
        first_partition=DAYS[0],
        known_from="start",
    )


def declare(entity, time, label):
    """Declare a use case whose view has every name as a column; the last three have these parts."""
    features = tuple(name for name in NAMES if name not in (entity, time))
    columns = (
        Column(name=entity, dtype="integer"),
        Column(name=time, dtype="timestamp"),
        *(Column(name=name, dtype="number") for name in features),
    )
    labels = (Column(name=entity, dtype="integer"), Column(name=label, dtype="number"))
    view = FeatureView(
        name="order_features",
        owner="ann",
        description="Features.",
        sources=(ViewSource(dataset="orders"),),
        entity=entity,
        time=time,
        known_from="start",
        columns=columns,
    )
    use_case = UseCase(
        name="delay",
        owner="ann",
        description="Delay.",
        task="regression",
        feature_view="order_features",
        features=features,
        label=Label(dataset="labels", column=label),
        metric="rmse",
        gates=(Threshold(metric="rmse", maximum=9),),
        prediction_range=(-1, 1e9),
        baseline_by=features[:2],
        split=Split(validation_days=1, test_days=1, minimum_rows=1),
    )
    datasets = {"orders": dataset("orders", columns), "labels": dataset("labels", labels)}
    return Catalog(datasets, {"order_features": view}, {"delay": use_case})


def order_rows(view, day):
    numbers = np.arange(ROWS_PER_DAY) + 100 * day.day
    values = {name: numbers + 1_000.0 * offset for offset, name in enumerate(NAMES)}
    values[view.entity] = numbers
    values[view.time] = pd.Series(pd.Timestamp(day, tz="UTC"), index=numbers - numbers[0]).dt.as_unit("us")
    ordered = {column.name: values[column.name] for column in view.columns if column.name in values}
    return pd.DataFrame(ordered).assign(_airworthy_day=f"{day}")


def check_monitoring(declared, lake, built, labels):
    """Score the features, and join the labels with the predictions."""
    view = declared.feature_views["order_features"]
    use_case = declared.use_cases["delay"]
    model = SimpleNamespace(
        classes=(),
        decision=None,
        twin=None,
        features=use_case.features,
        columns=dict.fromkeys(use_case.features, "double"),
        predict=lambda rows: rows.iloc[:, 0].to_numpy(),
    )
    scored = score_frame(use_case, declared.spine_of(use_case), model, built, version=3)
    lake.publish("delay_predictions", scored, DAYS, metadata={})
    assert scored[view.entity].tolist() == built[view.entity].tolist()
    assert scored["_airworthy_prediction"].tolist() == built[use_case.features[0]].tolist()
    window = windows.read_partitions(lake, use_case, declared.features_of(use_case), DAYS)
    joined = label_quality.join_labels(window.predictions, labels, use_case, keys=view.keys)
    assert joined["_airworthy_landed"].all()
    assert joined["_airworthy_target"].tolist() == (built[view.entity] * 2.0).tolist()


@pytest.mark.parametrize("number", range(len(NAMES)), ids=NAMES)
def test_each_internal_name_can_be_entity_time_label_feature(tmp_path, number):
    entity, time, label = (NAMES[(number + shift) % len(NAMES)] for shift in range(3))
    declared = declare(entity, time, label)
    view = declared.feature_views["order_features"]
    use_case = declared.use_cases["delay"]
    spine = declared.spine_of(use_case)
    lake = Lake(str(tmp_path))
    orders = pd.concat([order_rows(view, day) for day in DAYS], ignore_index=True)
    report = validate_partition(Batch.of(orders, DAYS), PartitionRules.of(declared.datasets["orders"]), [])
    assert report.passed, report.figures()
    lake.publish("orders", orders, DAYS, metadata={})
    labels = orders[[entity, "_airworthy_day"]].assign(**{label: orders[entity] * 2.0})
    lake.publish("labels", labels, DAYS, metadata={})

    built = build_features(
        view,
        lambda frames, _: frames["orders"][[column.name for column in declared.datasets["orders"].columns]],
        lake,
        DAYS,
        datasets=declared.datasets,
    )
    lake.publish(view.name, built, DAYS, metadata={})
    assert all(share.share == 1 for share in label_completeness(use_case, spine, lake, DAYS).values())
    snapshot = snapshots.create(use_case, lake, None, declared=declared)
    frame = snapshots.read_snapshot(use_case, snapshot, lake, declared=declared)
    pd.testing.assert_frame_equal(frame[list(use_case.features)], orders[list(use_case.features)])
    assert frame["_airworthy_target"].tolist() == (orders[entity] * 2.0).tolist()
    splits = split_rows(frame, use_case.split, embargo_days=0, entity=(entity,))
    assert (len(splits.train), len(splits.test)) == (2 * ROWS_PER_DAY, ROWS_PER_DAY)
    assert len(baseline_predictions(use_case, splits.train, splits.test)[0]) == ROWS_PER_DAY

    check_monitoring(declared, lake, built, labels)


def test_online_features_of_internal_names_equal_offline_ones(tmp_path, database_url):
    declared = declare("order", "event_timestamp", "target")
    view = declared.feature_views["order_features"].model_copy(update={"online": Online()})
    lake = Lake(str(tmp_path))
    rows = order_rows(view, DAYS[0]).assign(orders_known_at=pd.Timestamp(DAYS[0], tz="UTC"))
    lake.publish(view.name, rows, DAYS[:1], metadata={})
    client.materialise_view(view, lake, database_url)
    keys = rows["order"].tolist()
    with client.open_store(database_url) as opened:
        online = client.look_up(opened, view, {"order": keys})
    names = list(declared.use_cases["delay"].features)
    offline = historical(view, lake, rows[["order", "event_timestamp"]], columns=names)
    pd.testing.assert_frame_equal(online[names], offline[names])
    pd.testing.assert_frame_equal(online[names], rows[names])


def test_hourly_dataset_can_have_columns_day_and_hour():
    dataset = declare("order", "at", "target").datasets["orders"].model_copy(update={"granularity": "hour"})
    hours = [pd.Timestamp(DAYS[0], tz="UTC").to_pydatetime() + timedelta(hours=5)]
    rows = order_rows(SimpleNamespace(entity="order", time="at", columns=dataset.columns), DAYS[0])
    report = validate_partition(
        Batch.of(rows.assign(_airworthy_hour="05"), hours), PartitionRules.of(dataset), []
    )
    assert report.passed, report.figures()
