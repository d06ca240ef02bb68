"""Counts of labels per day, kept beside the table of the rows, so that only changed days are read."""

from __future__ import annotations

import hashlib
import json
from collections import defaultdict
from contextlib import suppress
from dataclasses import astuple, dataclass
from typing import TYPE_CHECKING, Any

from include.data.lake.publications import FOLDER
from include.errors import ServiceUnavailable, SettingsError
from include.partitions import day_of, format_partition
from include.storage import filesystem
from include.storage.errors import translate_storage_errors

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping
    from contextlib import AbstractContextManager
    from datetime import date

    from include.data.lake.delta_tables import Lake
    from include.declarations import UseCase
    from include.declarations.relations.feature_selection import Spine


@dataclass(frozen=True, slots=True)
class Completeness:
    """
    Numbers of rows to predict: all, with a row in the label's dataset, and with a label value.

    A row whose label is null in the label's dataset, such as the delay of a cancelled flight, has landed.
    """

    rows: int
    landed: int
    labelled: int

    @property
    def share(self) -> float:
        """Share of the rows that landed, between 0 and 1; 0 without rows."""
        return self.landed / self.rows if self.rows else 0.0


class CountedDays:
    """
    The counts of days that are known, in the file `<table>/_airworthy/labels_<use case>.json`.

    A count holds for the state of its day: the publications of its partitions in the tables of rows and
    labels, and the columns that are compared. Rows that were erased since are still counted.

    Parameters
    ----------
    use_case, spine
        The use case, and the rows that it predicts.
    lake
        Lake with the tables.
    versions
        Version of each table that is read; by default the newest.
    """

    def __init__(self, use_case: UseCase, spine: Spine, lake: Lake, versions: Mapping[str, int]) -> None:
        self.lake = lake
        self.columns = [*spine.keys, use_case.label.column]
        self.tables = {name: versions.get(name) for name in (spine.table, use_case.label.dataset)}
        self.path = f"{spine.table}/{FOLDER}/labels_{use_case.name}.json"
        self._states: dict[date, str] = {}
        self._stored: dict[str, Any] = {}

    def read(self, days: Collection[date]) -> dict[date, Completeness]:
        """Return the counts of those of the days whose state has not changed since they were counted."""
        self._states = self._find_states(days)
        self._stored = self._read_file()
        counts = {}
        for day in days:
            state, *numbers = self._stored.get(day.isoformat(), [""])
            if state == self._states[day]:
                counts[day] = Completeness(*numbers)
        return counts

    def write(self, counts: Mapping[date, Completeness]) -> None:
        """Store the counts of some of the days that were read."""
        new = {day.isoformat(): [self._states[day], *astuple(number)] for day, number in counts.items()}
        content = json.dumps(self._stored | new).encode()
        # Without the file, the days are counted again.
        with suppress(ServiceUnavailable, SettingsError), self._translate_errors():
            filesystem.write_file(self._open(), self.path, content)

    def _find_states(self, days: Collection[date]) -> dict[date, str]:
        parts: dict[date, list[Any]] = defaultdict(list)
        for table, version in self.tables.items():
            for partition, publication in self.lake.publications(table, version=version).items():
                published = (publication.version, publication.published_at.isoformat())
                parts[day_of(partition)].append([table, format_partition(partition), *published])
        return {day: _hash_state([self.columns, parts[day]]) for day in days}

    def _read_file(self) -> dict[str, Any]:
        with self._translate_errors():
            files = self._open()
            if filesystem.find_missing(files, [self.path]):
                return {}
            with files.open_input_file(self.path) as file:
                return dict(json.loads(bytes(file.read())))

    def _open(self) -> Any:
        return filesystem.open_filesystem(self.lake.uri, self.lake.storage_options)

    def _translate_errors(self) -> AbstractContextManager[None]:
        return translate_storage_errors(self.lake.uri, self.lake.storage_options, self.lake.connection)


def _hash_state(state: Any) -> str:
    return hashlib.sha256(json.dumps(state).encode()).hexdigest()[:16]
