"""An object store that refuses, stalls, breaks off and goes away, in front of what we keep in it."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta
from threading import Barrier

import numpy as np
import pandas as pd
import pytest
from deltalake import DeltaTable

from include.catalog import catalog
from include.data.sources.files import Landing
from include.errors import ServiceUnavailable, SettingsError
from include.storage import filesystem, reports
from include.storage.staging import Staging
from tests.faults.conftest import COMMIT, DAY

IMPATIENT = {"max_retries": "2", "retry_timeout": "2s", "timeout": "2s"}
WRONG = "a-wrong-secret-of-somebody"


def history(lake, table="things"):
    """Return who made each commit that holds rows, oldest first."""
    commits = DeltaTable(f"{lake.uri}/{table}", storage_options=dict(lake.storage_options)).history()
    return [(commit["run"], commit["try"]) for commit in reversed(commits) if commit["operation"] == "WRITE"]


def publish(lake, frame, run="nightly", number=1):
    return lake.publish("things", frame, [DAY], metadata={"run": run, "try": str(number)})


def big(day=DAY):
    """Rows that take several parts of a multipart upload."""
    noise = np.random.default_rng(1).integers(0, 2**62, (400_000, 4))
    return pd.DataFrame(noise, columns=list("abcd")).assign(day=day.isoformat())


ACTIONS = {
    "publish": lambda lake, rows: publish(lake, rows),
    "read": lambda lake, rows: lake.read("things"),
    "extract": lambda lake, rows: Landing(lake.uri, lake.storage_options).read(
        catalog().datasets["flights"], [DAY]
    ),
    "wait": lambda lake, rows: Landing(lake.uri, lake.storage_options).missing(
        catalog().datasets["flights"], [DAY]
    ),
    "stage": lambda lake, rows: Staging(lake.uri, lake.storage_options).write("run", "extracted", rows),
    "report": lambda lake, rows: reports.write_report(lake.uri, lake.storage_options, "page.html", "<p>"),
}


@pytest.mark.parametrize("action", ACTIONS)
def test_a_wrong_secret_is_said_at_once_with_connection_and_endpoint_and_never_shown(
    lake_through, proxy, rows, action
):
    lake = replace(lake_through(AWS_SECRET_ACCESS_KEY=WRONG), connection="lake_default")
    start = time.monotonic()
    with pytest.raises(SettingsError) as refused:
        ACTIONS[action](lake, rows())
    assert time.monotonic() - start < 10
    assert f"{proxy.uri} refuses the credentials: correct" in str(refused.value)
    assert "the connection lake_default" in str(refused.value)
    assert WRONG not in f"{refused.value} {refused.value.__cause__} {lake!r}"
    assert proxy.statuses() in ([403], [403, 403])


@pytest.mark.parametrize(
    ("address", "options", "complaint"),
    [
        ("s3://no-such-bucket/lake", {}, "no such bucket: make it"),
        ("", {"AWS_ALLOW_HTTP": "false"}, "AWS_ALLOW_HTTP=true"),
        (
            "",
            {"AWS_ENDPOINT_URL": "not an address"},
            "is no endpoint of an object store: give",
        ),
    ],
    ids=["bucket", "plain http", "endpoint"],
)
def test_what_no_retry_mends_is_a_setting_to_correct(lake_through, rows, address, options, complaint):
    lake = lake_through(**options)
    with pytest.raises(SettingsError, match=complaint):
        publish(replace(lake, uri=address or lake.uri), rows())


def test_a_busy_store_is_asked_again(lake_through, proxy, rows):
    proxy.inject("busy", times=6)
    publish(lake_through(), rows())
    assert proxy.statuses().count(503) == 6
    assert history(lake_through()) == [("nightly", "1")]


@pytest.mark.parametrize("kind", ["busy", "hang"])
@pytest.mark.parametrize("where", [COMMIT, "PUT .*parquet", "GET "], ids=["commit", "rows", "reading"])
def test_a_store_that_stays_busy_or_silent_is_given_up_and_nothing_is_half_published(
    lake_through, proxy, rows, kind, where
):
    publish(lake_through(), rows(1.0))
    proxy.inject(kind, where)
    start = time.monotonic()
    with pytest.raises(ServiceUnavailable, match=rf"at {proxy.uri} does not answer as it should"):
        publish(lake_through(**IMPATIENT), rows(2.0), run="later")
    assert time.monotonic() - start < 20
    proxy.heal()
    assert set(lake_through().read("things")["value"]) == {1.0}
    publish(lake_through(), rows(2.0), run="later", number=2)
    assert lake_through().read("things")["value"].tolist() == [2.0] * 3
    assert history(lake_through()) == [("nightly", "1"), ("later", "2")]


def test_patience_has_an_end_unless_somebody_says_otherwise():
    assert filesystem.with_timeouts("s3://lake", {})["retry_timeout"] == "60s"
    assert filesystem.with_timeouts("s3://lake", {"retry_timeout": "5s"})["retry_timeout"] == "5s"
    assert filesystem.with_timeouts("/lake", {}) == {}


def test_a_commit_whose_answer_was_lost_is_found_and_not_made_twice(lake_through, proxy, rows):
    publish(lake_through(), rows(1.0))
    proxy.inject("lose", COMMIT, times=1)
    version = publish(lake_through(), rows(2.0), run="later")
    assert proxy.statuses(COMMIT)[-2:] == [0, 412]
    assert version == lake_through().version("things")
    assert history(lake_through()) == [("nightly", "1"), ("later", "1")]


def test_a_change_whose_answer_was_lost_is_not_made_twice(lake_through, proxy, rows):
    publish(lake_through(), rows(1.0))
    proxy.inject("lose", COMMIT, times=1)
    double = lambda frame: pd.concat([frame, frame.assign(id="new")])  # noqa: E731
    lake_through().update("things", [DAY], double, metadata={"run": "release", "try": "1"})
    assert len(lake_through().read("things")) == 6


def test_killed_in_the_middle_of_an_upload_nothing_is_there_and_the_next_try_succeeds(
    lake_through, proxy, rows, object_store
):
    lake = lake_through(**IMPATIENT)
    publish(lake, rows(1.0), run="small")
    before = object_store.keys(lake.uri)
    proxy.inject("cut", "PUT .*partNumber=2", stop=True)
    with pytest.raises(ServiceUnavailable, match=f"at {proxy.uri} does not answer"):
        lake.publish("things", big(), [DAY], metadata={"run": "big", "try": "1"})
    assert object_store.keys(lake.uri) == before
    proxy.heal()
    proxy.start()
    assert set(lake.read("things")["value"]) == {1.0}
    lake.publish("things", big(), [DAY], metadata={"run": "big", "try": "2"})
    assert lake.counts("things") == {DAY: 400_000}
    assert history(lake) == [("small", "1"), ("big", "2")]


def test_a_staged_frame_appears_whole_or_not_at_all(lake_through, proxy, object_store):
    lake = lake_through(**IMPATIENT)
    staging = Staging(lake.uri, lake.storage_options)
    proxy.inject("busy", "PUT .*partNumber=2")
    with pytest.raises(ServiceUnavailable, match="does not answer"):
        staging.write("run", "extracted", big())
    assert object_store.keys(lake.uri) == []
    proxy.heal()
    assert len(staging.read(staging.write("run", "extracted", big()))) == 400_000


@pytest.mark.parametrize("action", ACTIONS)
def test_a_store_that_is_away_is_an_accident_that_names_it(lake_through, proxy, rows, action):
    lake = lake_through(**IMPATIENT)
    proxy.stop()
    with pytest.raises(ServiceUnavailable, match=rf"s3://.* at {proxy.uri} does not answer.*clear the task"):
        ACTIONS[action](lake, rows())


@pytest.mark.parametrize("writers", [2, 6])
def test_writers_who_race_for_one_partition_leave_one_copy_and_their_names(
    lake_through, proxy, rows, writers
):
    publish(lake_through(), rows(-1.0), run="before")
    start = Barrier(writers)

    def race(number):
        start.wait()
        return publish(replace(lake_through(), patience=timedelta(minutes=1)), rows(number), run=f"w{number}")

    with ThreadPoolExecutor(writers) as pool:
        versions = list(pool.map(race, range(writers)))
    assert len(set(versions)) == writers
    last = versions.index(max(versions))
    assert lake_through().read("things")["value"].tolist() == [float(last)] * 3
    told = history(lake_through())
    assert (told[-1], sorted(told)) == (
        (f"w{last}", "1"), [("before", "1"), *((f"w{number}", "1") for number in range(writers))]
    )  # fmt: skip
    assert proxy.statuses(COMMIT).count(200) == writers + 2  # two for the empty table and its first rows
