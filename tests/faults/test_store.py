"""Tables, landing files, staging and reports in an object store that is busy, silent, broken or stopped."""

from __future__ import annotations

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

SHORT_TIMEOUTS = {"max_retries": "2", "retry_timeout": "2s", "timeout": "2s"}
WRONG_SECRET = "a-wrong-secret"


def history(lake, table="things"):
    """Return the run and the try of each commit of rows, oldest first."""
    commits = DeltaTable(f"{lake.uri}/{table}", storage_options=dict(lake.storage_options)).history()
    return [(commit["run"], commit["try"]) for commit in reversed(commits) if commit["operation"] == "WRITE"]


def publish(lake, frame, run="nightly", number=1):
    return lake.publish("things", frame, [DAY], metadata={"run": run, "try": str(number)})


def make_multipart_rows(day=DAY):
    """Return rows that take several parts of a multipart upload."""
    noise = np.random.default_rng(1).integers(0, 2**62, (400_000, 4))
    return pd.DataFrame(noise, columns=list("abcd")).assign(_airworthy_day=day.isoformat())


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
def test_wrong_secret_names_the_connection_and_is_not_retried(lake_through, proxy, rows, action):
    lake = replace(lake_through(AWS_SECRET_ACCESS_KEY=WRONG_SECRET), connection="lake_default")
    with pytest.raises(SettingsError) as error:
        ACTIONS[action](lake, rows())
    assert f"{proxy.uri} refuses the credentials: correct" in str(error.value)
    assert "the connection lake_default" in str(error.value)
    assert WRONG_SECRET not in f"{error.value} {error.value.__cause__} {lake!r}"
    # No retry: a second request only looks for the table.
    assert proxy.statuses() in ([403], [403, 403])


@pytest.mark.parametrize(
    ("address", "options", "message"),
    [
        ("s3://no-such-bucket/lake", {}, "no such bucket: create it"),
        ("", {"AWS_ALLOW_HTTP": "false"}, "AWS_ALLOW_HTTP=true"),
        (
            "",
            {"AWS_ENDPOINT_URL": "not an address"},
            "is no endpoint of an object store: give",
        ),
    ],
    ids=["bucket", "plain http", "endpoint"],
)
def test_permanent_failure_of_the_store_raises_settings_error(lake_through, rows, address, options, message):
    lake = lake_through(**options)
    with pytest.raises(SettingsError, match=message):
        publish(replace(lake, uri=address or lake.uri), rows())


def test_busy_store_is_retried(lake_through, proxy, rows):
    proxy.inject("busy", times=6)
    publish(lake_through(), rows())
    assert proxy.statuses().count(503) == 6
    assert history(lake_through()) == [("nightly", "1")]


@pytest.mark.parametrize("kind", ["busy", "hang"])
@pytest.mark.parametrize("where", [COMMIT, "PUT .*parquet", "GET "], ids=["commit", "rows", "reading"])
def test_store_that_stays_busy_or_silent_leaves_the_old_rows(lake_through, proxy, rows, kind, where):
    publish(lake_through(), rows(1.0))
    proxy.inject(kind, where)
    with pytest.raises(ServiceUnavailable, match=rf"at {proxy.uri} does not answer as expected"):
        publish(lake_through(**SHORT_TIMEOUTS), rows(2.0), run="later")
    proxy.heal()
    assert set(lake_through().read("things")["value"]) == {1.0}
    publish(lake_through(), rows(2.0), run="later", number=2)
    assert lake_through().read("things")["value"].tolist() == [2.0] * 3
    assert history(lake_through()) == [("nightly", "1"), ("later", "2")]


def test_timeouts_have_defaults_and_can_be_changed():
    assert filesystem.with_timeouts("s3://lake", {})["retry_timeout"] == "60s"
    assert filesystem.with_timeouts("s3://lake", {"retry_timeout": "5s"})["retry_timeout"] == "5s"
    assert filesystem.with_timeouts("/lake", {}) == {}


def test_commit_with_a_lost_response_is_found_and_not_repeated(lake_through, proxy, rows):
    publish(lake_through(), rows(1.0))
    proxy.inject("lose", COMMIT, times=1)
    version = publish(lake_through(), rows(2.0), run="later")
    assert proxy.statuses(COMMIT)[-2:] == [0, 412]
    assert version == lake_through().version("things")
    assert history(lake_through()) == [("nightly", "1"), ("later", "1")]


def test_update_with_a_lost_response_is_not_repeated(lake_through, proxy, rows):
    publish(lake_through(), rows(1.0))
    proxy.inject("lose", COMMIT, times=1)
    double = lambda frame: pd.concat([frame, frame.assign(id="new")])  # noqa: E731
    lake_through().update("things", [DAY], double, metadata={"run": "release", "try": "1"})
    assert len(lake_through().read("things")) == 6


def test_upload_cut_in_the_middle_changes_nothing_until_retried(lake_through, proxy, rows, object_store):
    lake = lake_through(**SHORT_TIMEOUTS)
    publish(lake, rows(1.0), run="small")
    before = object_store.keys(lake.uri)
    proxy.inject("cut", "PUT .*partNumber=2", stop=True)
    with pytest.raises(ServiceUnavailable, match=f"at {proxy.uri} does not answer"):
        lake.publish("things", make_multipart_rows(), [DAY], metadata={"run": "big", "try": "1"})
    assert object_store.keys(lake.uri) == before
    proxy.heal()
    proxy.start()
    assert set(lake.read("things")["value"]) == {1.0}
    lake.publish("things", make_multipart_rows(), [DAY], metadata={"run": "big", "try": "2"})
    assert lake.counts("things") == {DAY: 400_000}
    assert history(lake) == [("small", "1"), ("big", "2")]


def test_staged_frame_is_complete_or_absent(lake_through, proxy, object_store):
    lake = lake_through(**SHORT_TIMEOUTS)
    staging = Staging(lake.uri, lake.storage_options)
    proxy.inject("busy", "PUT .*partNumber=2")
    with pytest.raises(ServiceUnavailable, match="does not answer"):
        staging.write("run", "extracted", make_multipart_rows())
    assert object_store.keys(lake.uri) == []
    proxy.heal()
    assert len(staging.read(staging.write("run", "extracted", make_multipart_rows()))) == 400_000


@pytest.mark.parametrize("action", ACTIONS)
def test_stopped_store_raises_service_unavailable_with_its_uri(lake_through, proxy, rows, action):
    lake = lake_through(**SHORT_TIMEOUTS)
    proxy.stop()
    with pytest.raises(ServiceUnavailable, match=rf"s3://.* at {proxy.uri} does not answer.*clear the task"):
        ACTIONS[action](lake, rows())


@pytest.mark.parametrize("writers", [2, 6])
def test_concurrent_writers_leave_one_copy_and_all_their_commits(lake_through, proxy, rows, writers):
    publish(lake_through(), rows(-1.0), run="before")
    start = Barrier(writers)

    def race(number):
        start.wait()
        return publish(
            replace(lake_through(), commit_timeout=timedelta(minutes=1)), rows(number), run=f"w{number}"
        )

    with ThreadPoolExecutor(writers) as pool:
        versions = list(pool.map(race, range(writers)))
    assert len(set(versions)) == writers
    last = versions.index(max(versions))
    assert lake_through().read("things")["value"].tolist() == [float(last)] * 3
    commits = history(lake_through())
    assert commits[-1] == (f"w{last}", "1")
    assert sorted(commits) == [("before", "1"), *((f"w{number}", "1") for number in range(writers))]
    # Two more commits: the empty table and its first rows.
    assert proxy.statuses(COMMIT).count(200) == writers + 2
