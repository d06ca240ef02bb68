from __future__ import annotations

from datetime import timedelta

import pandas as pd
import pytest

from include.catalog import catalog, declaration_module
from include.data.features import build as features
from include.data.features import leakage_check
from include.declarations import Column, Dataset, FeatureView, ViewSource
from include.errors import DataError
from tests.include.data.conftest import DAYS

# A day's observations are there when it ends.
WEATHER = catalog().datasets["weather"].model_copy(update={"lag_days": 0, "known_from": "end"})
DECLARED = {**catalog().datasets, "weather": WEATHER}
DECLARED_VIEW = catalog().feature_views["flight_features"]
# Callers send the features: an observation is known when it is made, not when its file lands.
VIEW = DECLARED_VIEW.model_copy(update={"online": None, "known_from": "end"})
honest = declaration_module("features", "flight_features").build
DAY = DAYS[1]


@pytest.fixture(autouse=True)
def _few_moments(request, monkeypatch):
    if "honest" not in request.node.name:
        monkeypatch.setattr(leakage_check, "MAX_PREDICTION_TIMES", 6)


def view_with(name, source, **changes):
    """Return the project's view with one more feature from one more source."""
    columns = tuple(column for column in VIEW.columns if not column.name.endswith("_known_at"))
    columns += (Column(name=name, dtype="number", nullable=True),)
    sources = tuple(name for name in VIEW.sources if name.dataset != source.dataset)
    return FeatureView(
        **VIEW.model_dump(exclude={"columns", "sources"}) | changes,
        columns=columns,
        sources=(*sources, source),
    )


def look(view, build, lake, rows=None, *, days=(DAY,), datasets=DECLARED):
    """Publish nothing: build as the DAG would, past its first refusal, and look for leaks."""
    if rows is None:
        rows = pd.concat(
            build(frames, day).assign(_airworthy_day=str(day))
            for day, frames in features.source_windows(view, lake, days, datasets=datasets)
        )
    return leakage_check.check_leakage(view, build, lake, rows, days, datasets=datasets)


ARRIVED = Dataset(
    **DECLARED["arrivals"].model_dump(exclude={"name", "columns", "known_at", "lag_days"}),
    name="arrived",
    columns=(*DECLARED["arrivals"].columns, Column(name="at", dtype="timestamp")),
    known_at="at",
)


def with_arrival_of(dataset):
    """Plant a leak: how late the flight was to arrive, known when it has."""

    def build(frames, day):
        arrivals = frames[dataset][["flight_id", "arr_delay"]]
        return honest(frames, day).merge(arrivals, on="flight_id", how="left")

    return build


def arrival_of(dataset):
    return view_with("arr_delay", ViewSource(dataset=dataset, lookback_days=1, columns=("arr_delay",)))


@pytest.fixture
def arrived(real_lake):
    """A lake in which arrivals say when they were known: three hours after the departure."""
    arrivals = real_lake.read("arrivals").merge(
        real_lake.read("flights")[["flight_id", "scheduled_departure"]]
    )
    moments = arrivals.assign(at=arrivals["scheduled_departure"] + timedelta(hours=3))
    real_lake.publish("arrived", moments.drop(columns="scheduled_departure"), DAYS, metadata={})
    return real_lake


def look_at_arrival(lake):
    datasets = {**DECLARED, "arrived": ARRIVED}
    return look(arrival_of("arrived"), with_arrival_of("arrived"), lake, datasets=datasets)


def with_weather_to_come(frames, day):
    """Plant a leak: the weather at departure, not two hours before it."""
    early = frames["flights"].assign(
        scheduled_departure=frames["flights"]["scheduled_departure"] + VIEW.horizon
    )
    return honest({**frames, "flights": early}, day).assign(
        scheduled_departure=lambda rows: rows["scheduled_departure"] - VIEW.horizon
    )


def test_honest_features_of_real_flights_are_let_through(real_lake):
    rows = real_lake.read("flight_features")
    check = leakage_check.check_leakage(DECLARED_VIEW, honest, real_lake, rows, DAYS)
    assert check.passed
    assert check.leaks == ()
    assert check.rows > 100
    check.raise_if_failed(VIEW.name)


def test_arrival_as_feature_is_reported_with_source_and_times(arrived):
    check = look_at_arrival(arrived)
    assert [(leak.feature, leak.source) for leak in check.leaks] == [("arr_delay", "arrived")]
    leak = check.leaks[0]
    assert leak.value_in_time == "missing"
    took = pd.Timestamp(leak.known_at) - pd.Timestamp(leak.predicted_at)
    assert took == timedelta(hours=5)  # it arrives three hours after a departure that is predicted two before
    assert leak.entity.startswith("2013-01-02-")
    with pytest.raises(
        DataError, match=r"arr_delay leaks from arrived in \d+ rows, such as 2013-01-02-\S+: it is"
    ):
        check.raise_if_failed("flight_features")


def test_late_arrivals_cannot_leak_unless_published_early(real_lake):
    view = arrival_of("arrivals").model_copy(update={"known_from": "start"})
    build = with_arrival_of("arrivals")
    assert look(view, build, real_lake).passed
    own = real_lake.read("flight_features", [DAY]).merge(
        real_lake.read("arrivals")[["flight_id", "arr_delay"]], on="flight_id"
    )
    check = look(view, build, real_lake, own)
    assert [(leak.feature, leak.known_at) for leak in check.leaks] == [("arr_delay", "an unknown time")]


def test_future_weather_is_reported_despite_its_known_at(real_lake):
    def claims(frames, day):
        return with_weather_to_come(frames, day).assign(
            weather_known_at=lambda rows: rows["scheduled_departure"] - VIEW.horizon
        )

    check = look(VIEW, claims, real_lake)
    assert {leak.source for leak in check.leaks} == {"weather"}
    assert {"temp", "pressure", "wind_speed"} <= {leak.feature for leak in check.leaks}
    assert {"carrier", "hour"}.isdisjoint({leak.feature for leak in check.leaks})
    temp = next(leak for leak in check.leaks if leak.feature == "temp")
    between = pd.Timestamp(temp.known_at) - pd.Timestamp(temp.predicted_at)
    assert timedelta(0) < between <= VIEW.horizon


def test_the_mean_of_the_whole_day_is_the_future_of_its_morning(real_lake):
    def build(frames, day):
        return honest(frames, day).assign(mean_temp=frames["weather"]["temp"].mean())

    weather = ViewSource(dataset="weather", lookback_days=1, columns=("mean_temp", "temp"))
    check = look(view_with("mean_temp", weather), build, real_lake)
    assert {(leak.feature, leak.source) for leak in check.leaks} == {("mean_temp", "weather")}


def test_row_that_differs_from_its_build_leaks_at_unknown_time(real_lake):
    rows = real_lake.read("flight_features", [DAY]).assign(distance=1.0)
    check = look(DECLARED_VIEW, honest, real_lake, rows)
    assert [(leak.feature, leak.known_at) for leak in check.leaks] == [("distance", "an unknown time")]


def test_check_samples_the_same_bounded_rows_each_time(real_lake, monkeypatch):
    built = []

    def counted(frames, day):
        built.append(day)
        return honest(frames, day)

    rows = real_lake.read("flight_features")
    assert leakage_check.check_leakage(
        DECLARED_VIEW, counted, real_lake, rows, DAYS
    ) == leakage_check.check_leakage(DECLARED_VIEW, honest, real_lake, rows, DAYS)
    assert len(built) <= 2 * leakage_check.MAX_PREDICTION_TIMES
    built.clear()
    monkeypatch.setattr(leakage_check, "MAX_PREDICTION_TIMES", 3)
    monkeypatch.setattr(leakage_check, "MAX_PARTITIONS", 2)
    leakage_check.check_leakage(DECLARED_VIEW, counted, real_lake, rows, DAYS)
    assert [built.count(day) for day in DAYS] == [3, 0, 3]


def test_nothing_to_look_at_is_no_proof(real_lake):
    rows = real_lake.read("flight_features", [DAY]).iloc[:0]
    check = leakage_check.check_leakage(VIEW, honest, real_lake, rows, [DAY])
    assert not check.passed
    with pytest.raises(DataError, match="there was no row to check"):
        check.raise_if_failed(VIEW.name)


def test_view_that_may_be_empty_passes_without_rows(real_lake):
    rows = real_lake.read("flight_features", [DAY]).iloc[:0]
    view = VIEW.model_copy(update={"volume": (0, 10)})
    check = leakage_check.check_leakage(view, honest, real_lake, rows, [DAY])
    assert check.results().passed


def test_what_was_found_is_evidence_for_the_record(arrived):
    check = look_at_arrival(arrived).results()
    assert (check.passed, check.failed) == (
        False,
        {"critical": ["expect_features_to_be_known_in_time(arr_delay)"]},
    )
    assert "arr_delay leaks from arrived" in check.as_json()["results"][0]["message"]
    fine = look(VIEW, honest, arrived).results()
    assert (fine.passed, fine.failed, fine.rows > 0) == (True, {}, True)


def test_column_that_build_does_not_return_is_named(lake):
    def forgets(frames, day):
        return honest(frames, day).drop(columns="distance")

    rows = pd.DataFrame({"flight_id": ["a"], "_airworthy_day": [str(DAY)]})
    with pytest.raises(DataError, match=r"flight_features: build\(\) returns no column .*distance"):
        look(VIEW, forgets, lake, rows)
