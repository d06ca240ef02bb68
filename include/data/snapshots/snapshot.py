"""Snapshots: the exact rows of a training, which can be read again."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass, field, replace
from datetime import date, timedelta
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from pydantic import TypeAdapter, ValidationError

from include.data.feature_store.feature_rows import read_feature_rows
from include.data.lake.partition_columns import DAY
from include.data.snapshots.label_completeness import label_completeness, share_landed
from include.data.snapshots.meanings import select_days
from include.data.snapshots.target_encoding import RAW_LABEL, TARGET, encode
from include.declarations.specification import Specification  # noqa: TC001  pydantic reads the annotations
from include.errors import DataError, PartitionMissing
from include.feature_values import estimator_frame, specified_kinds
from include.specifications import declared_specification

if TYPE_CHECKING:
    from collections.abc import Mapping

    from include.catalog import Catalog
    from include.data.lake.delta_tables import Lake
    from include.data.snapshots.counted_days import Completeness
    from include.declarations import UseCase


@dataclass(frozen=True, slots=True)
class Snapshot:
    """
    Exact rows of a training: versions of tables, first and last day, number and digest of the rows.

    `feature_view` is the first view of the use case; `joined_versions` are the versions of the other views.
    `completeness` is the share of rows whose label had landed, between 0 and 1, over the days that are used;
    `excluded_days` are the days in the range whose labels were due and too few, or which other code built.
    `specification` is what was declared then; snapshots of earlier versions have none.
    """

    use_case: str
    as_of: date
    feature_view: str
    feature_version: int
    label_dataset: str
    label_version: int
    days: tuple[str, str]
    rows: int
    digest: str
    completeness: float | None = None
    excluded_days: tuple[str, ...] = ()
    joined_versions: dict[str, int] = field(default_factory=dict)
    specification: Specification | None = None

    @property
    def versions(self) -> dict[str, int]:
        """Version of each table that the rows are read from."""
        named = {self.feature_view: self.feature_version, self.label_dataset: self.label_version}
        return named | self.joined_versions

    def calendar_days(self) -> list[date]:
        """Return all days from the first to the last but the excluded ones."""
        first, last = map(date.fromisoformat, self.days)
        days = (first + timedelta(days=offset) for offset in range((last - first).days + 1))
        return [day for day in days if day.isoformat() not in self.excluded_days]

    def to_json(self) -> str:
        """Return the snapshot as JSON with sorted keys."""
        content = asdict(replace(self, specification=None)) | {"as_of": self.as_of.isoformat()}
        if self.specification is None:
            del content["specification"]
        else:
            content["specification"] = self.specification.model_dump(mode="json")
        return json.dumps(content, sort_keys=True)

    @classmethod
    def from_json(cls, text: str) -> Snapshot:
        """
        Return the snapshot that `to_json` wrote; raise DataError if `text` is not one.
        """
        try:
            return TypeAdapter(cls).validate_json(text)
        except ValidationError as error:
            raise DataError(f"{text[:200]!r} is not a snapshot: {error}. Create a new one.") from error


def create(
    use_case: UseCase,
    lake: Lake,
    as_of: date | None,
    *,
    first_day: date | None = None,
    declared: Catalog | None = None,
) -> Snapshot:
    """Create a snapshot as `create_with_rows` does, without its rows."""
    snapshot, _ = create_with_rows(use_case, lake, as_of, first_day=first_day, declared=declared)
    return snapshot


def create_with_rows(
    use_case: UseCase,
    lake: Lake,
    as_of: date | None,
    *,
    first_day: date | None = None,
    declared: Catalog | None = None,
) -> tuple[Snapshot, pd.DataFrame]:
    """
    Create a snapshot of the data that was available at the begin of `as_of` in UTC, by default with the
    newest labels; its rows are those that `read_snapshot` returns.

    Its days are those before `as_of` that have features and for which the share of rows whose labels had
    landed by then is at least `minimum_completeness` of the label, and which the same code built. Days before
    `first_day` are not used. Of undated features, it is the day on which they landed last.

    Raises
    ------
    PartitionMissing
        If there is no such day.
    DataError
        If different code built them, unless `training.stale_days` allows it.
    """
    specification = declared_specification(use_case, declared)
    selection = specification.selection
    usable_from = specification.availability.usable_from
    versions = {table: _version(lake, table) for table in (*selection.tables, use_case.label.dataset)}
    spine = selection.spine
    begin = first_day or date.min
    spine_days = [day for day in lake.days(spine.table, version=versions[spine.table]) if day >= begin]
    completeness = label_completeness(use_case, spine, lake, spine_days, versions=versions)
    labelled = _labelled_days(use_case, completeness)
    if as_of is None and labelled:
        as_of = usable_from(max(labelled))
    due = [day for day in completeness if as_of and usable_from(day) <= as_of]
    # Undated rows replace all that landed before.
    due = due if use_case.split.by == "time" else due[-1:]
    days = select_days(use_case, lake, [day for day in due if day in labelled], versions=versions)
    if as_of is None or not days:
        raise PartitionMissing(_explain_no_days(use_case, as_of, completeness))
    snapshot = Snapshot(
        **_named_tables(use_case, versions),
        as_of=as_of,
        days=(days[0].isoformat(), days[-1].isoformat()),
        rows=0,
        digest="",
        completeness=share_landed(completeness[day] for day in days),
        excluded_days=tuple(day.isoformat() for day in due if day not in set(days)),
    )
    return _with_rows(snapshot, specification, lake)


def read_snapshot(
    use_case: UseCase, snapshot: Snapshot, lake: Lake, *, declared: Catalog | None = None
) -> pd.DataFrame:
    """
    Return the rows of a snapshot, sorted by day and key: keys, time, day, features and `target`.

    They are those of the specification that the snapshot was taken for. A snapshot without one is read as the
    use case is declared.

    Features are as an estimator gets them. Where `above` or `bands` divide the label, `RAW_LABEL` is the
    number; it is not part of the digest.

    Raises
    ------
    DataError
        If the rows differ from those that the snapshot names, or it belongs to another use case.
    """
    if snapshot.use_case != use_case.name:
        raise DataError(
            f"The snapshot belongs to {snapshot.use_case}, not to {use_case.name}. Create a new one."
        )
    specification = snapshot.specification or declared_specification(use_case, declared)
    frame = _read_rows(specification, snapshot, lake)
    digest = _digest(frame)
    if digest != snapshot.digest:
        raise DataError(
            f"{use_case.name}: the rows of the snapshot as of {snapshot.as_of} have changed: "
            f"{len(frame):,} rows with digest {digest[:12]}, not {snapshot.rows:,} rows with digest "
            f"{snapshot.digest[:12]}. {_explain_changed(snapshot)}: create a new snapshot."
        )
    return _for_estimator(frame, specification)


def row_hashes(frame: pd.DataFrame) -> np.ndarray[Any, np.dtype[np.uint64]]:
    """Return a hash (n,) of each row's values, the same on every machine and in every process."""
    return np.asarray(pd.util.hash_pandas_object(frame, index=False), dtype=np.uint64)


def _labelled_days(use_case: UseCase, completeness: Mapping[date, Completeness]) -> set[date]:
    minimum = use_case.label.minimum_completeness
    return {day for day, counts in completeness.items() if counts.share >= minimum}


def _with_rows(snapshot: Snapshot, specification: Specification, lake: Lake) -> tuple[Snapshot, pd.DataFrame]:
    """Return the snapshot with number and digest of its rows, and what is missing in them; and the rows."""
    frame = _read_rows(specification, snapshot, lake)
    missing = {name for name in specification.features if frame[name].isna().any()}
    frozen = specification.with_missing(missing)
    complete = replace(snapshot, rows=len(frame), digest=_digest(frame), specification=frozen)
    return complete, _for_estimator(frame, frozen)


def _for_estimator(frame: pd.DataFrame, specification: Specification) -> pd.DataFrame:
    """Return the rows of a snapshot with the features as an estimator gets them."""
    features = estimator_frame(frame, specified_kinds(specification))
    return frame.assign(**{str(name): features[name] for name in features})


def _named_tables(use_case: UseCase, versions: Mapping[str, int]) -> dict[str, Any]:
    """Return the fields of a snapshot that name the use case, its tables and their versions."""
    return {
        "use_case": use_case.name,
        "feature_view": use_case.feature_view,
        "feature_version": versions[use_case.feature_view],
        "label_dataset": use_case.label.dataset,
        "label_version": versions[use_case.label.dataset],
        "joined_versions": {name: versions[name] for name in use_case.feature_views[1:]},
    }


def _version(lake: Lake, table: str) -> int:
    version = lake.version(table)
    if version is None:
        raise PartitionMissing(f"There is no table {table} in the lake {lake.uri}. Publish it first.")
    return version


def _explain_no_days(use_case: UseCase, as_of: date | None, completeness: Mapping[date, Completeness]) -> str:
    best = max((counts.share for counts in completeness.values()), default=0.0)
    return (
        f"{use_case.name}: no day has both {use_case.feature_view} and {use_case.label.dataset}"
        f"{f' as of {as_of}' if as_of else ''}, with labels for at least "
        f"{use_case.label.minimum_completeness:.0%} of its rows "
        f"(the best of {len(completeness)} days has {best:.0%}). "
        "Ingest the datasets and build the features first."
    )


def _explain_changed(snapshot: Snapshot) -> str:
    if snapshot.specification is None:
        return "The declared features, the label or the tables' files were changed"
    return "The tables' files were changed"


def _read_rows(specification: Specification, snapshot: Snapshot, lake: Lake) -> pd.DataFrame:
    """Return the labelled rows, sorted by day and key, with the encoded label as `target`."""
    use_case = specification.use_case
    selection = specification.selection
    label = use_case.label
    spine = selection.spine
    days = _included_days(lake, spine.table, snapshot)
    own_label = {TARGET: label.column} if spine.table == label.dataset else {}
    rows = read_feature_rows(selection, lake, days, versions=snapshot.versions, spine_columns=own_label)
    if not own_label:
        rows = _join_labels(use_case, snapshot, lake, rows, spine.keys)
    rows = rows.dropna(subset=[TARGET]).sort_values([DAY, *spine.keys], ignore_index=True)
    if label.is_absent:
        return rows.assign(**{TARGET: 0.0})
    target = encode(label, rows[TARGET])
    encoded = {TARGET: target if use_case.task == "regression" else target.astype("int64")}
    if label.form in {"above", "bands"}:
        encoded[RAW_LABEL] = rows[TARGET].astype("float64")
    return rows.assign(**encoded)


def _join_labels(
    use_case: UseCase, snapshot: Snapshot, lake: Lake, rows: pd.DataFrame, keys: tuple[str, ...]
) -> pd.DataFrame:
    """Return the rows with a label of the same entity and day; the label is in the column `target`."""
    label = use_case.label
    days = _included_days(lake, label.dataset, snapshot)
    columns = [DAY, *keys, label.column]
    labels = lake.read(label.dataset, days, version=snapshot.label_version, columns=columns)
    labels = labels.rename(columns={label.column: TARGET}).dropna(subset=[TARGET])
    try:
        return rows.merge(labels, on=[DAY, *keys], validate="one_to_one")
    except pd.errors.MergeError as error:
        raise DataError(
            f"{use_case.name}: {' and '.join(keys)} occurs more than once per day in {use_case.feature_view} "
            f"or {label.dataset}, so labels cannot be joined to rows. Correct and republish them, or declare "
            "`label.time`."
        ) from error


def _included_days(lake: Lake, table: str, snapshot: Snapshot) -> list[date]:
    """Return the published days of a table that the snapshot includes."""
    published = set(lake.days(table, version=snapshot.versions[table]))
    return [day for day in snapshot.calendar_days() if day in published]


def _digest(frame: pd.DataFrame) -> str:
    frame = frame.drop(columns=RAW_LABEL, errors="ignore")
    digest = hashlib.sha256(json.dumps([[name, str(kind)] for name, kind in frame.dtypes.items()]).encode())
    digest.update(row_hashes(frame).tobytes())
    return digest.hexdigest()
