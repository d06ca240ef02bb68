from __future__ import annotations

from datetime import date, timedelta

import pandas as pd
import pytest

from include.data.features import build as features
from include.data.reading.table import read_frame
from include.declarations import KNOWN_AT, Column, Dataset, FeatureView, FileSource, Online, ViewSource
from include.declarations.data.features import as_dataset
from include.errors import DataError, PartitionMissing

FIRST = date(2013, 1, 1)
DAYS = [FIRST + timedelta(days=offset) for offset in range(5)]
HOUR = timedelta(hours=1)

VIEW = FeatureView(
    name="levels",
    owner="test",
    description="Levels known in time.",
    sources=(ViewSource(dataset="trips"), ViewSource(dataset="levels_seen", lookback_days=2)),
    entity="id",
    time="leaves",
    horizon=HOUR,
    columns=(
        Column(name="id", dtype="string"),
        Column(name="leaves", dtype="timestamp"),
        Column(name="level_days", dtype="string"),
    ),
)


@pytest.fixture
def declared():
    def declare(name, **kwargs):
        return Dataset(
            name=name,
            owner="test",
            description="A test's.",
            source=FileSource(path=f"{name}/{{partition}}.csv"),
            columns=(Column(name="id", dtype="string"), Column(name="at", dtype="timestamp")),
            key=("id",),
            first_partition=FIRST,
            **kwargs,
        )

    return {
        "trips": declare("trips", known_from="start"),
        "levels_seen": declare("levels_seen", last_partition=DAYS[3], known_at="at"),
    }


@pytest.fixture
def filled(lake):
    return fill(lake, DAYS[:4])


def fill(lake, level_days):
    keys = [day.isoformat() for day in DAYS]
    moments = pd.to_datetime(keys, utc=True) + pd.Timedelta(hours=12)
    lake.publish(
        "trips", pd.DataFrame({"id": keys, "leaves": moments, "_airworthy_day": keys}), DAYS, metadata={}
    )
    levels = pd.DataFrame({"id": keys, "at": moments, "_airworthy_day": keys})
    published = levels[levels["_airworthy_day"].isin([day.isoformat() for day in level_days])]
    lake.publish("levels_seen", published, level_days, metadata={})
    return lake


def build_with(known_at):
    def build(frames, day):
        level_days = ",".join(sorted(frames["levels_seen"]["_airworthy_day"]))
        return (
            frames["trips"]
            .drop(columns="_airworthy_day")
            .assign(level_days=level_days, levels_seen_known_at=known_at(frames["trips"]["leaves"]))
        )

    return build


in_time = build_with(lambda leaves: leaves - HOUR)


def test_build_reads_the_day_and_its_declared_lookback(filled, declared):
    rows = features.build_features(VIEW, in_time, filled, DAYS, datasets=declared)
    assert dict(zip(rows["_airworthy_day"], rows["level_days"], strict=True)) == {
        "2013-01-01": "2013-01-01",
        "2013-01-02": "2013-01-01,2013-01-02",
        "2013-01-03": "2013-01-01,2013-01-02,2013-01-03",
        "2013-01-04": "2013-01-02,2013-01-03,2013-01-04",
        "2013-01-05": "2013-01-03,2013-01-04",  # the source ended the day before
    }


def test_build_reads_of_a_late_source_only_landed_days(filled, declared):
    declared["levels_seen"] = Dataset(**declared["levels_seen"].model_dump() | {"lag_days": 1})
    rows = features.build_features(VIEW, in_time, filled, DAYS, datasets=declared)
    assert dict(zip(rows["_airworthy_day"], rows["level_days"], strict=True)) == {
        "2013-01-01": "",
        "2013-01-02": "2013-01-01",
        "2013-01-03": "2013-01-01,2013-01-02",
        "2013-01-04": "2013-01-02,2013-01-03",
        "2013-01-05": "2013-01-03,2013-01-04",
    }
    single = features.build_features(VIEW, in_time, filled, DAYS[:1], datasets=declared)
    assert single["level_days"].tolist() == [""]


def test_one_day_at_a_time_gives_what_a_bulk_run_gives(filled, declared):
    bulk = features.build_features(VIEW, in_time, filled, DAYS, datasets=declared)
    single = [features.build_features(VIEW, in_time, filled, [day], datasets=declared) for day in DAYS]
    pd.testing.assert_frame_equal(pd.concat(single, ignore_index=True), bulk)


def test_a_hole_in_a_source_is_an_error_and_no_silent_null(lake, declared):
    fill(lake, [DAYS[0], DAYS[2], DAYS[3]])
    with pytest.raises(PartitionMissing, match=r"levels_seen: 1 of 3 days .* the first is 2013-01-02"):
        features.build_features(VIEW, in_time, lake, [DAYS[3]], datasets=declared)


def test_a_source_without_rows_is_no_hole(filled, declared):
    filled.publish("levels_seen", filled.read("levels_seen").iloc[:0], [DAYS[1]], metadata={})
    assert len(features.build_features(VIEW, in_time, filled, [DAYS[3]], datasets=declared)) == 1


def test_a_feature_from_the_future_is_refused_and_named(filled, declared):
    late = build_with(lambda leaves: leaves - HOUR + timedelta(seconds=1))
    with pytest.raises(
        DataError, match=r"levels: 2 of 2 rows have features from the future.*2013-01-01 \(known"
    ):
        features.build_features(VIEW, late, filled, DAYS[:2], datasets=declared)


def test_nothing_known_is_not_from_the_future(filled, declared):
    unknown = build_with(lambda leaves: leaves.where(leaves.isna()))
    assert (
        features.build_features(VIEW, unknown, filled, DAYS[:2], datasets=declared)["levels_seen_known_at"]
        .isna()
        .all()
    )


def test_column_of_a_source_is_added_when_all_of_it_is_known(filled, declared):
    rows = features.build_features(VIEW, in_time, filled, DAYS[:2], datasets=declared)
    assert rows["trips_known_at"].tolist() == [pd.Timestamp(day, tz="UTC") for day in DAYS[:2]]


def test_build_orders_columns_as_declared_then_day(filled, declared):
    rows = features.build_features(VIEW, in_time, filled, DAYS[:1], datasets=declared)
    assert [*rows.columns] == [*(column.name for column in VIEW.columns), "_airworthy_day"]


@pytest.mark.parametrize("changed", [{"known_at": "at"}, {"known_at": None, "lag_days": 1}])
def test_build_without_known_at_column_is_refused(filled, declared, changed):
    def forgets(frames, day):
        return in_time(frames, day).drop(columns="levels_seen_known_at")

    declared["levels_seen"] = Dataset(**declared["levels_seen"].model_dump() | changed)
    with pytest.raises(DataError, match=r"levels: build\(\) returns no column levels_seen_known_at"):
        features.build_features(VIEW, forgets, filled, DAYS[:2], datasets=declared)


def total(of):
    """Return a build whose feature is the number of levels that were seen on the day `of(day)`."""

    def build(frames, day):
        levels = frames["levels_seen"]
        counted = levels[levels["at"].dt.date == of(day)]
        columns = {"level_days": str(len(counted)), "levels_seen_known_at": counted[KNOWN_AT].max()}
        return frames["trips"].assign(**columns)

    return build


def test_total_of_the_whole_day_is_refused_at_midnight(filled, declared):
    declared["levels_seen"] = Dataset(**declared["levels_seen"].model_dump() | {"known_at": None})
    with pytest.raises(DataError, match=r"1 of 1 rows have features from the future.*known at 2013-01-03"):
        features.build_features(VIEW, total(lambda day: day), filled, DAYS[1:2], datasets=declared)


def test_total_of_the_day_before_is_known_in_time(filled, declared):
    declared["levels_seen"] = Dataset(**declared["levels_seen"].model_dump() | {"known_at": None})
    build = total(lambda day: day - timedelta(days=1))
    rows = features.build_features(VIEW, build, filled, DAYS[1:3], datasets=declared)
    assert rows["level_days"].tolist() == ["1", "1"]
    assert rows["levels_seen_known_at"].tolist() == [pd.Timestamp(day, tz="UTC") for day in DAYS[1:3]]
    assert KNOWN_AT not in rows


def test_rows_that_come_online_after_their_event_are_refused(filled, declared):
    late = VIEW.model_copy(update={"online": Online()})
    with pytest.raises(DataError, match=r"levels: 1 of 1 rows of 2013-01-02 would not be online in time"):
        features.build_features(late, in_time, filled, DAYS[1:2], datasets=declared)


def test_online_rows_are_built_from_what_has_landed_by_then(filled, declared):
    early = VIEW.model_copy(update={"online": Online(), "known_from": "start"})
    rows = features.build_features(early, in_time, filled, DAYS[:3], datasets=declared)
    assert rows["level_days"].tolist() == ["", "2013-01-01", "2013-01-01,2013-01-02"]


def test_a_view_is_built_from_another_view(lake, declared):
    inner = VIEW.model_copy(update={"sources": (ViewSource(dataset="trips"),)})
    outer = VIEW.model_copy(
        update={"name": "outer", "sources": (ViewSource(dataset="levels", lookback_days=1),)}
    )
    sources = declared | {"levels": as_dataset(inner, {"levels": inner}, declared)}
    noon = pd.Timestamp("2013-01-01T12:00Z").as_unit("us")
    for day in DAYS[:2]:
        rows = pd.DataFrame({"id": [str(day)], "leaves": noon, "level_days": "x", "_airworthy_day": str(day)})
        lake.publish("levels", rows, [day], metadata={})

    def build(frames, day):
        rows = frames["levels"]
        assert rows["id"].tolist() == [str(moments) for moments in DAYS[: DAYS.index(day) + 1]]
        leaves = pd.Timestamp(day + timedelta(days=2), tz="UTC").as_unit("us")
        return rows.tail(1).assign(leaves=leaves)[["id", "leaves", "level_days"]]

    built = features.build_features(outer, build, lake, DAYS[:2], datasets=sources)
    assert built["id"].tolist() == [str(day) for day in DAYS[:2]]
    moments = [pd.Timestamp(day + timedelta(days=1), tz="UTC") for day in DAYS[:2]]
    assert built["levels_known_at"].tolist() == moments


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda frames, _: frames["levels_seen"]["biker"], r"KeyError: 'biker' \(.*test_build.py, line \d+"),
        (lambda *_: None, "returns NoneType, and not a DataFrame"),
        (lambda frames, _: frames["levels_seen"][[]], "returns no column "),
        (lambda frames, day: pd.concat([in_time(frames, day)] * 2, axis=1), "returns id, .* more than once"),
    ],
    ids=["raises", "no frame", "no key", "a column twice"],
)
def test_error_of_build_names_view_day_file_and_line(filled, declared, build, message):
    with pytest.raises(
        DataError, match=rf"levels: build\(\) of {DAYS[0]} .*{message}.*Correct include/features/"
    ):
        features.build_features(VIEW, build, filled, DAYS[:1], datasets=declared)


def test_what_build_changes_in_its_frames_is_not_seen_again(filled, declared):
    lengths = []

    def build(frames, day):
        lengths.append(len(frames["levels_seen"]))
        levels = frames["levels_seen"]
        levels.drop(columns=KNOWN_AT, inplace=True)
        levels.drop(index=levels.index, inplace=True)
        trips = frames.pop("trips")
        frames.clear()
        return trips.assign(level_days="", levels_seen_known_at=pd.NaT, trips_known_at=pd.NaT)

    windows = features.source_windows(VIEW, filled, DAYS[2:3], datasets=declared)
    ((day, frames),) = windows
    for _ in range(2):
        features.call_build(VIEW, build, frames, day)
    assert lengths == [len(frames["levels_seen"])] * 2 != [0, 0]
    assert KNOWN_AT in frames["levels_seen"]


@pytest.mark.parametrize("moment", [pd.Timestamp("2013-01-01T12:00"), "2013-01-01T12:00", DAYS[0], None, 5])
def test_time_that_is_no_moment_is_left_to_the_gate(filled, declared, moment):
    def build(frames, day):
        return in_time(frames, day).assign(leaves=moment)

    rows = features.build_features(VIEW, build, filled, DAYS[:1], datasets=declared)
    typed = read_frame(rows, VIEW.columns)
    assert typed["leaves"].null_count == len(rows) > 0
    assert typed["_airworthy_misfits"].null_count == (len(rows) if moment is None else 0)
