from __future__ import annotations

from datetime import UTC, date, datetime
from types import SimpleNamespace

import pytest

from airflow.sdk import Asset

from airworthy import run_context
from include.errors import DataError, ReleaseError
from include.partitions import HOURS

ASSET = Asset(name="flights", uri="x-airworthy://datasets/flights")


def test_attempt_key_has_the_try_and_run_key_has_not(context):
    first = context()
    second = context()
    second["ti"].try_number = 2
    assert run_context.dag_run_key(first) == run_context.dag_run_key(second) == "some_dag/manual__2013-07-01"
    assert run_context.attempt_key(second) == "some_dag/manual__2013-07-01/2"


def test_tags_of_an_experiment_name_its_changes(context):
    snapshot = SimpleNamespace(as_of=date(2013, 7, 1), days=("2013-01-01", "2013-06-30"), digest="abc")
    use_case = SimpleNamespace(name="late", owner="ann", features=("hour",))
    run = context(params={"experiment": True, "parameters": {"leaves": 3}})
    made_from = SimpleNamespace(code_version="c0de", lock_hash="10c4")
    tags = run_context.tags(run, use_case, snapshot, made_from)
    assert tags["airworthy.experiment"] == '{"parameters": {"leaves": 3}}'


def test_tags_name_run_and_data_and_link_to_airflow(context, monkeypatch):
    monkeypatch.setenv("AIRFLOW__API__BASE_URL", "http://airflow:8080/")
    run = context({"run_id": "manual__2013-07-01T00:00:00+00:00", "clear_number": 1, "run_type": "backfill"})
    run["ti"].try_number = 3
    snapshot = SimpleNamespace(as_of=date(2013, 7, 1), days=("2013-01-01", "2013-06-30"), digest="abc")
    made_from = SimpleNamespace(code_version="c0de", lock_hash="10c4")
    use_case = SimpleNamespace(name="late", owner="ann", features=("hour",))
    tags = run_context.tags(run, use_case, snapshot, made_from)
    assert tags.pop("mlflow.note.content").endswith(
        "(http://airflow:8080/dags/some_dag/runs/manual__2013-07-01T00%3A00%3A00%2B00%3A00)"
    )
    assert {name.removeprefix("airworthy."): value for name, value in tags.items()} == {
        "dag": "some_dag", "run": "manual__2013-07-01T00:00:00+00:00", "run_type": "backfill",
        "partition": "", "clear_number": "1", "task": "some_task", "map_index": "-1", "try": "3",
        "use_case": "late", "owner": "ann", "as_of": "2013-07-01", "days": "2013-01-01..2013-06-30",
        "features": '["hour"]', "snapshot": "abc", "code_version": "c0de", "lock_hash": "10c4",
    }  # fmt: skip


@pytest.mark.parametrize(("user", "actor"), [("ann", "ann"), (None, "airflow:some_dag")])
def test_actor_is_who_triggered_the_run(context, user, actor):
    assert run_context.actor(context({"triggering_user_name": user})) == actor


@pytest.mark.parametrize(
    ("run", "params", "key"),
    [
        ({"partition_key": "2013-07-01"}, {}, "2013-07-01"),
        ({"partition_key": "2013-07-01"}, {"first": "2013-01-01"}, "2013-07-01"),
        ({}, {"first": "2013-07-01"}, "2013-07-01"),
        ({}, {"first": "2013-07-01", "last": "2013-07-01"}, "2013-07-01"),
        ({}, {"first": "2013-07-01", "last": "2013-07-03"}, "2013-07-01..2013-07-03"),
    ],
)
def test_partition_is_the_runs_own_or_the_requested_range(context, run, params, key):
    assert run_context.partition_key(context(run, params=params)) == key


def test_run_without_a_partition_is_an_error(context):
    with pytest.raises(DataError, match="`first` and `last`"):
        run_context.run_days(context(params={"first": None, "last": None}))


def test_day_of_an_hourly_dataset_is_24_partitions(context):
    assert len(run_context.run_partitions(context({"partition_key": "2013-07-01"}), HOURS)) == 24
    assert run_context.run_partitions(context({"partition_key": "2013-07-01T05"}), HOURS) == [
        datetime(2013, 7, 1, 5, tzinfo=UTC)
    ]
    assert run_context.run_days(context({"partition_key": "2013-07-01T05"})) == [date(2013, 7, 1)]


@pytest.mark.parametrize(
    ("run", "moves"),
    [
        ({"partition_key": "2013-07-01", "run_type": "scheduled"}, True),
        ({"partition_key": "2013-07-01", "run_type": "manual"}, True),
        ({"partition_key": "2013-07-01", "run_type": "backfill"}, False),
        ({"partition_key": None, "run_type": "manual"}, False),
    ],
)
def test_only_runs_with_a_partition_move_watermarks(context, run, moves):
    assert run_context.moves_watermark(context(run)) is moves


def test_bulk_run_announces_its_range(context):
    bulk = context(params={"first": "2013-07-01", "last": "2013-07-03"})
    run_context.announce_partitions(bulk, ASSET)
    assert bulk["outlet_events"][ASSET].partition_keys == {"2013-07-01..2013-07-03"}


def test_partition_of_other_runs_is_not_announced_again(context):
    run = context({"partition_key": "2013-07-01"})
    run_context.announce_partitions(run, ASSET)
    assert run["outlet_events"][ASSET].partition_keys == set()


@pytest.mark.parametrize(
    ("run_type", "requested", "as_of"),
    [
        ("manual", "2013-03-01", date(2013, 3, 1)),
        ("backfill", "2013-03-01", date(2013, 3, 1)),
        ("backfill", "", date(2013, 7, 2)),
        ("scheduled", "", None),
    ],
)
def test_as_of_is_the_requested_day_or_the_backfills(context, run_type, requested, as_of):
    run = context({"run_type": run_type, "logical_date": datetime(2013, 7, 2, tzinfo=UTC)})
    assert run_context.as_of(run, requested) == as_of


def events(*versions):
    return {ASSET: [SimpleNamespace(extra={"version": version} if version else None) for version in versions]}


@pytest.mark.parametrize(
    ("params", "versions", "version"), [({"version": 4}, (9,), 4), ({}, (8, None, 9), 9), ({}, (3,), 3)]
)
def test_candidate_is_the_parameter_or_the_newest_announced(context, params, versions, version):
    run = context(params=params, triggering_asset_events=events(*versions))
    assert run_context.candidate_version(run) == version


@pytest.mark.parametrize(
    ("run", "extra", "requester"),
    [
        ({"triggering_user_name": "bob"}, {"version": 3, "requested_by": "ann"}, "bob"),
        ({}, {"version": 3, "requested_by": "ann"}, "ann"),
        ({"dag_id": "air_time_deployment"}, {"version": 3}, "airflow:air_time_deployment"),
    ],
    ids=["user of the run", "user of the training", "no user"],
)
def test_requester_is_a_person_if_there_is_one(context, run, extra, requester):
    caused = {ASSET: [SimpleNamespace(extra=extra)]}
    assert run_context.requester(context(run, params={}, triggering_asset_events=caused)) == requester


def test_deployment_without_a_version_is_an_error(context):
    with pytest.raises(ReleaseError, match="parameter `version`"):
        run_context.candidate_version(context(params={"version": None}, triggering_asset_events=events(None)))


@pytest.mark.parametrize(
    ("params", "reason"), [({}, ""), ({"reason": None}, ""), ({"reason": "drift"}, "drift")]
)
def test_reason_of_a_training_is_its_parameter(context, params, reason):
    assert run_context.training_reason(context(params=params)) == reason


def test_moment_of_a_run_is_the_end_of_its_interval(context):
    moments = [datetime(2026, 1, day, tzinfo=UTC) for day in (1, 2, 3)]
    names = ("run_after", "logical_date", "data_interval_end")
    run = dict(zip(names, moments, strict=True))
    assert run_context.moment(context(run)) == moments[2]
    assert run_context.moment(context(run | {"data_interval_end": None})) == moments[1]
    assert run_context.moment(context({"run_after": moments[0]})) == moments[0]
