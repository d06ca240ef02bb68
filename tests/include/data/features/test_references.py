"""Reference tables: which version a partition of a view is built with."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import pandas as pd
import pytest

from include.data import build_code
from include.data.features import build as features
from include.data.features import references
from include.data.features.leakage_check import check_leakage
from include.data.features.lineage import CommitLogs, _reading_features, _source_partitions
from include.data.features.readiness import dependent_partitions
from include.data.lake import commit_log
from include.declarations import Column, Dataset, FeatureView, FileSource, ViewSource
from include.declarations.data.features import as_dataset
from include.errors import PartitionMissing

DAYS = [date(2013, 1, 1) + timedelta(days=offset) for offset in range(6)]
ID = Column(name="plane", dtype="string")
SEATS = Column(name="seats", dtype="integer", nullable=True)
AT = Column(name="leaves", dtype="timestamp")
COMMON = {"owner": "test", "description": "A test's."}
DATASETS = {
    "trips": Dataset(
        name="trips", source=FileSource(path="trips/{partition}.csv"), columns=(ID, AT), key=("plane",),
        first_partition=DAYS[0], known_from="start", **COMMON,
    ),
    "planes": Dataset(
        name="planes", source=FileSource(path="planes.csv"), columns=(ID, SEATS), key=("plane",), whole=True,
        **COMMON,
    ),
}  # fmt: skip


def declare(versions="as_of", **fields):
    sources = (
        ViewSource(dataset="trips"),
        ViewSource(dataset="planes", columns=("seats",), versions=versions),
    )
    values = {
        "name": "seats", "sources": sources, "entity": "plane", "time": "leaves", "columns": (ID, AT, SEATS),
        "horizon": timedelta(hours=1),
    }  # fmt: skip
    return FeatureView(**values | fields | COMMON)


VIEW = declare()


def build(frames, day):
    rows = frames["trips"][["plane", "leaves"]]
    return rows.merge(frames["planes"][["plane", "seats"]], on="plane", how="left")


@pytest.fixture
def trips(lake):
    keys = [str(day) for day in DAYS]
    moments = pd.to_datetime(keys, utc=True) + pd.Timedelta(hours=12)
    rows = pd.DataFrame({"plane": ["N1"] * len(keys), "leaves": moments, "_airworthy_day": keys})
    lake.publish("trips", rows, DAYS, metadata={})


@pytest.fixture
def land(lake):
    """Return a function that publishes a version of the planes, which has this number of seats."""

    def publish(day, seats, run=""):
        rows = pd.DataFrame({"plane": ["N1"], "seats": [seats], "_airworthy_day": [str(day)]})
        return lake.publish("planes", rows, [day], metadata={"run": run})

    return publish


def seats_of(lake, view=VIEW, days=DAYS, **options):
    rows = features.build_features(view, build, lake, days, datasets=DATASETS, **options)
    return dict(zip(rows["_airworthy_day"].str[-2:], rows["seats"], strict=True)), rows


@pytest.mark.usefixtures("trips")
def test_each_day_has_the_version_that_was_known_then(lake, land):
    land(DAYS[0], 100)
    land(DAYS[3], 140)
    seats, rows = seats_of(lake)
    # A version is known at the end of its day, so with the horizon of an hour one day later.
    assert seats == {"01": 100, "02": 100, "03": 100, "04": 100, "05": 100, "06": 140}
    known_times = rows["planes_known_at"]
    assert known_times.isna().tolist() == [True, True, False, False, False, False]
    assert known_times.iloc[5] == datetime(2013, 1, 5, tzinfo=UTC)
    assert check_leakage(VIEW, build, lake, rows, DAYS, datasets=DATASETS).passed


@pytest.mark.usefixtures("trips")
@pytest.mark.parametrize(
    ("runs", "is_of_the_past"),
    [
        (["planes_ingestion/manual__1"], True),
        (["planes_ingestion/scheduled__1"], False),
        (["planes_ingestion/backfill__1"], False),
        # The run of the day is cleared, and reads what is in the file today.
        (["planes_ingestion/manual__1", "planes_ingestion/scheduled__1"], False),
        (["planes_ingestion/scheduled__1", "planes_ingestion/manual__1"], True),
        (["planes_ingestion/backfill__1", "planes_quarantine/manual__1"], False),
    ],
)
def test_version_is_known_from_its_reading_unless_a_person_says(lake, land, runs, is_of_the_past):
    land(DAYS[0], 100)
    for run in runs:
        land(DAYS[2], 140, run)
    uses = references.used_versions(VIEW, lake, [DAYS[5]], datasets=DATASETS)
    assert [use.version for use in uses] == [DAYS[2] if is_of_the_past else DAYS[0]]
    assert seats_of(lake, days=[DAYS[5]])[0] == {"06": 140 if is_of_the_past else 100}


@pytest.mark.usefixtures("trips")
def test_uses_are_recorded_and_read_again(lake, land):
    land(DAYS[0], 100)
    land(DAYS[3], 140)
    uses = references.used_versions(VIEW, lake, DAYS, datasets=DATASETS)
    assert [(use.version, use.partitions, use.known_at is None) for use in uses] == [
        (DAYS[0], tuple(DAYS[:2]), True), (DAYS[0], tuple(DAYS[2:5]), False), (DAYS[3], (DAYS[5],), False)
    ]  # fmt: skip
    assert references.from_json(VIEW, references.to_json(uses)) == uses
    assert (references.to_json([]), references.from_json(VIEW, "")) == ("", [])
    version = "planes of 2013-01-01 (table version 2)"
    assert uses[0].describe() == (
        f"2013-01-01..2013-01-02 is built with {version}, which was known only later"
    )
    # A version that lands again meanwhile changes nothing.
    land(DAYS[0], 7)
    assert seats_of(lake, references=uses)[0]["03"] == 100


@pytest.mark.usefixtures("trips")
def test_newest_version_makes_earlier_days_stale(lake, land, monkeypatch):
    newest = declare("newest")
    monkeypatch.setattr(build_code, "declared_code", lambda name: f"code of {name}")
    land(DAYS[0], 100)
    codes = []
    for view in (VIEW, newest):
        monkeypatch.setattr(build_code, "catalog", lambda view=view: Declared(view))
        codes.append(build_code.current_code(lake, "seats"))
    land(DAYS[3], 140)
    assert build_code.current_code(lake, "seats") != codes[1]
    monkeypatch.setattr(build_code, "catalog", lambda: Declared(VIEW))
    assert build_code.current_code(lake, "seats") == codes[0] == "code of seats"
    assert set(seats_of(lake, newest)[0].values()) == {140}


class Declared:
    """A catalogue of one view."""

    def __init__(self, view):
        self.view = view
        self.sources = DATASETS
        self.feature_views = {view.name: view}

    def declaration(self, name):
        return self.view


@pytest.mark.usefixtures("trips")
def test_view_waits_for_the_first_version_alone(lake, land):
    def ready(dataset, *changed):
        return dependent_partitions(VIEW, dataset, changed, lake, datasets=DATASETS)

    waiting = ready("trips", DAYS[1]).waiting
    assert waiting == {DAYS[1]: ["the first version of planes"]}
    with pytest.raises(PartitionMissing, match=r"planes has no version yet. Run planes_ingestion first"):
        seats_of(lake)
    land(DAYS[2], 100)
    assert ready("planes", DAYS[2]).ready == DAYS
    assert ready("trips", DAYS[1]).ready == [DAYS[1]]
    land(DAYS[3], 140)
    assert ready("planes", DAYS[3]).ready == []
    # The first version may be announced after the second one was published.
    assert ready("planes", DAYS[2]).ready == DAYS


@pytest.mark.usefixtures("trips")
def test_lineage_names_the_version_in_the_commit(lake, land, monkeypatch):
    land(DAYS[0], 100)
    land(DAYS[3], 140)
    uses = references.used_versions(VIEW, lake, DAYS, datasets=DATASETS)
    rows = seats_of(lake, references=uses)[1]
    lake.publish("seats", rows, DAYS, metadata={"references": references.to_json(uses)})
    monkeypatch.setattr("include.data.features.lineage.catalog", lambda: Declared(VIEW))
    logs = CommitLogs(lake)
    (built,) = logs["seats"]
    days = [day for day, _ in _source_partitions(logs, VIEW, VIEW.sources[1], [(DAYS[5], built)])]
    assert days == [DAYS[3]]
    commit = commit_log.producing_commit(logs["planes"], DAYS[0])
    readers = [day for day, _ in _reading_features(logs, "planes", DAYS[0], [commit])]
    assert sorted(readers) == DAYS[:5]


@pytest.mark.usefixtures("trips")
def test_lineage_names_the_commit_that_the_build_read(lake, land, monkeypatch):
    land(DAYS[0], 100)
    uses = references.used_versions(VIEW, lake, DAYS, datasets=DATASETS)
    rows = seats_of(lake, references=uses)[1]
    # The version lands again between the build and the publication of the view.
    land(DAYS[0], 140)
    lake.publish("seats", rows, DAYS, metadata={"references": references.to_json(uses)})
    monkeypatch.setattr("include.data.features.lineage.catalog", lambda: Declared(VIEW))
    logs = CommitLogs(lake)
    read, later = logs["planes"]
    (built,) = logs["seats"]
    features_of_day = [(DAYS[5], built)]
    assert list(_source_partitions(logs, VIEW, VIEW.sources[1], features_of_day)) == [(DAYS[0], read)]
    assert [day for day, _ in _reading_features(logs, "planes", DAYS[0], [read])] == DAYS
    assert list(_reading_features(logs, "planes", DAYS[0], [later])) == []


@pytest.mark.usefixtures("trips")
def test_lineage_reads_the_references_of_a_commit_once(lake, land, monkeypatch):
    land(DAYS[0], 100)
    uses = references.used_versions(VIEW, lake, DAYS, datasets=DATASETS)
    rows = seats_of(lake, references=uses)[1]
    lake.publish("seats", rows, DAYS, metadata={"references": references.to_json(uses)})
    monkeypatch.setattr("include.data.features.lineage.catalog", lambda: Declared(VIEW))
    reads = []
    from_json = references.from_json
    monkeypatch.setattr(references, "from_json", lambda *values: reads.append(values) or from_json(*values))
    logs = CommitLogs(lake)
    (built,) = logs["seats"]
    list(_source_partitions(logs, VIEW, VIEW.sources[1], [(day, built) for day in DAYS]))
    list(_reading_features(logs, "planes", DAYS[0], logs["planes"]))
    assert len(reads) == 2


def test_reference_has_no_part_in_the_bounds_of_a_view():
    read = as_dataset(VIEW, {}, DATASETS)
    assert (read.first_partition, read.last_partition) == (DAYS[0], None)
