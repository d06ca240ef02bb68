from __future__ import annotations

import subprocess
import sys
from datetime import date
from pathlib import Path

import pandas as pd
import pytest

from include.catalog import catalog
from include.stack.demo import flights_feed


@pytest.fixture(scope="module")
def landed(tmp_path_factory):
    folder = tmp_path_factory.mktemp("landing")
    flights_feed.land(str(folder), date(2013, 1, 2))
    return folder


def file_names(folder):
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


def test_arrivals_and_weather_land_a_day_after_their_flights(landed):
    assert [name for name in file_names(landed) if not name.startswith("weather_reports/")] == [
        "arrivals/2013-01-01.csv", "flights/2013-01-01.csv", "flights/2013-01-02.csv",
        "weather/2013-01-01.csv",
    ]  # fmt: skip


def test_reports_land_by_the_hour_also_where_there_are_none(landed):
    names = file_names(landed / "weather_reports")
    assert names == [f"2013-01-01T{hour:02}.csv" for hour in range(24)]
    rows = [len(pd.read_csv(landed / "weather_reports" / name)) for name in names]
    # The year begins at 06:00 UTC with the report of one in the morning; later, two stations are silent once.
    assert rows == [0] * 6 + [3] * 11 + [1] + [3] * 6
    first = pd.read_csv(landed / "weather_reports" / "2013-01-01T06.csv")
    assert first["station"].tolist() == ["KEWR", "KJFK", "KLGA"]
    assert set(first["reported_at"]) == {"2013-01-01T06:00:00Z"}


def test_landing_again_writes_only_missing_files(landed):
    assert flights_feed.land(str(landed), date(2013, 1, 2)) == 0
    before = {name: (landed / name).read_bytes() for name in file_names(landed)}
    (landed / "flights" / "2013-01-02.csv").unlink()
    assert flights_feed.land(str(landed), date(2013, 1, 2)) == 1
    assert {name: (landed / name).read_bytes() for name in file_names(landed)} == before


def test_nothing_lands_before_the_first_day(tmp_path):
    assert flights_feed.land(str(tmp_path / "none"), date(2012, 12, 31)) == 0


@pytest.mark.parametrize("name", flights_feed.DATASETS)
def test_files_have_the_declared_columns(landed, name):
    dataset = catalog().datasets[name]
    file = flights_feed._paths_until(dataset, date(2013, 1, 2))
    header = pd.read_csv(landed / next(iter(file.values())), nrows=0).columns
    assert list(header) == [column.name for column in dataset.columns]


def test_flight_id_has_the_local_day_and_departures_are_in_utc(landed):
    flights = pd.read_csv(landed / "flights" / "2013-01-01.csv").set_index("flight_id")
    assert (len(flights), flights.index.is_unique) == (842, True)
    assert flights.loc["2013-01-01-UA1545-EWR-0515", "scheduled_departure"] == "2013-01-01T10:15:00Z"
    assert flights["scheduled_departure"].max() == "2013-01-02T04:59:00Z"


def test_arrivals_are_of_the_same_flights(landed):
    flights, arrivals = (pd.read_csv(landed / name / "2013-01-01.csv") for name in ("flights", "arrivals"))
    assert list(arrivals["flight_id"]) == list(flights["flight_id"])
    assert arrivals["arr_delay"].isna().sum() == 11


def test_importing_the_feed_is_light():
    heavy = "{'pandas', 'pyarrow', 'deltalake'}"
    code = f"import include.stack.demo.flights_feed, sys; print(sorted({heavy} & set(sys.modules)))"
    root = Path(flights_feed.__file__).parents[3]
    process = subprocess.run(
        [sys.executable, "-c", code], cwd=root, capture_output=True, text=True, check=True
    )
    assert process.stdout.strip() == "[]"
