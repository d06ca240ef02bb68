"""Time windows of monitoring: served requests, or scored partitions if there are no requests."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, datetime, time, timedelta
from typing import TYPE_CHECKING, Any, Literal

import pandas as pd
from sqlalchemy import func, select

from include.data.feature_store.feature_rows import read_feature_rows
from include.data.lake.partition_columns import DAY
from include.database.tables import inference_log
from include.declarations.base import INTERNAL_PREFIX
from include.errors import PartitionMissing
from include.inference.predictions import PREDICTION, VERSION
from include.modeling.batch_scoring.scorer import probability_columns
from include.monitoring import window_rows
from include.monitoring.window_rows import answered_requests, is_comparable, scored_days, select_features
from include.pseudonyms import PREFIX

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping, Sequence
    from datetime import date

    from sqlalchemy import Connection

    from include.data.lake.delta_tables import Lake
    from include.declarations import UseCase
    from include.declarations.relations.feature_selection import FeatureSelection, Spine

# The inference log is written ten times a second. Newer requests may not have been written yet.
LOG_LAG = timedelta(seconds=5)
# Requests, or rows of partitions, that a window has in memory; `window_rows` reads all in a stream.
MAX_REQUESTS = 100_000
AT = f"{INTERNAL_PREFIX}at"
PREDICTION_COLUMNS = (PREDICTION, VERSION, AT)
# Of features that slices and costs need, beside the predictions.
ROW_PREFIX = f"{INTERNAL_PREFIX}row_"
# No key of an integer entity is larger.
MAX_KEY = 2**63


@dataclass(frozen=True, slots=True)
class Window:
    """
    Inputs and predictions from `start` to before `end`.

    `inputs` has one column per feature of the use case. `predictions` has the entity columns, for requests
    the time of the event where the caller sent it, `PREDICTION` (for multiclass a list of probabilities),
    `VERSION`, `AT`, the time of the request or partition, and, with the prefix `ROW_PREFIX`, the features by
    which gates slice rows or costs differ. Its rows match those of `inputs` for requests;
    for partitions it has the scored rows only, with their day. Of more than `MAX_REQUESTS` requests, or rows
    of partitions, `inputs` is a fixed sample; `include.monitoring.window_rows` reads all. `requests` counts
    all requests in the window, `days` are those of partitions. `until` is the moment that was looked back
    from.
    """

    source: Literal["requests", "partitions"]
    start: datetime
    end: datetime
    inputs: pd.DataFrame
    predictions: pd.DataFrame
    requests: int
    until: datetime | None = None
    days: Sequence[date] = ()


def watermark(connection: Connection) -> datetime:
    """Return the moment up to which the inference log is complete, by the database's clock."""
    moment: datetime = connection.execute(select(func.clock_timestamp())).scalar_one()
    return moment - LOG_LAG


def read_newest_window(
    connection: Connection,
    lake: Lake,
    use_case: UseCase,
    selection: FeatureSelection,
    *,
    end: datetime | None = None,
    version: int | None = None,
    limit: int | None = None,
) -> Window:
    """
    Return the requests in the `drift.window_days` before `end`, or the newest partitions.

    Partitions are read if there are no requests, or if they have fewer than `drift.minimum_rows` rows and one
    of the partitions was scored: a stray request does not stand for what a batch model predicts. Whenever it
    is read, the window has the same requests, and no partition of a day after `end`.

    Parameters
    ----------
    end
        End of the window; the watermark if None or later.
    version
        Version that `use_case` specifies: of other versions, rows without all of its features are left out.
    limit
        Largest number of requests to read, or of rows of partitions, whose predictions then are left out.

    Raises
    ------
    PartitionMissing
        If there are neither requests nor partitions of rows to predict.
    """
    complete_until = watermark(connection)
    end = min(end, complete_until) if end else complete_until
    start = end - timedelta(days=use_case.drift.window_days)
    window = read_requests(
        connection,
        use_case,
        selection.spine,
        start=start,
        end=end,
        version=version,
        limit=limit or MAX_REQUESTS,
    )
    days = [day for day in lake.days(selection.spine.table) if day <= end.date()]
    days = days[-_partitions_of_window(use_case) :]
    if not window.requests or (_is_small(window, use_case) and scored_days(lake, use_case, days)):
        partitions = read_partitions(lake, use_case, selection, days, limit=limit)
        window = replace(partitions, requests=window.requests)
    return replace(window, until=end)


def _is_small(window: Window, use_case: UseCase) -> bool:
    return len(window.inputs) < use_case.drift.minimum_rows


def read_requests(
    connection: Connection,
    use_case: UseCase,
    spine: Spine,
    *,
    start: datetime,
    end: datetime,
    version: int | None = None,
    limit: int = MAX_REQUESTS,
) -> Window:
    """
    Return successful requests and their predictions, without copies and replays.

    Of more than `limit` requests it reads a fixed random sample, by the hash of the request id. The entity is
    known for rows that have its key, and, if it has one column, for requests of one row that named it in the
    header. The time of the event is known for rows that have it. Rows that another version than `version`
    answered, and that lack one of the features, are left out: that version was not asked for it.
    """
    log = inference_log.c
    conditions = answered_requests(use_case.name, start, end)
    n_requests = connection.execute(select(func.count()).where(*conditions)).scalar_one()
    query = (
        select(log.entity_id, log.version, log.inputs, log.predictions, log.received_at)
        .where(*conditions)
        .order_by(func.md5(log.request_id), log.received_at)
        .limit(limit)
    )
    inputs: list[dict[str, Any]] = []
    predicted: list[tuple[Any, ...]] = []
    for entity_of_request, answered_by, rows, predictions, at in connection.execute(query):
        for row, prediction in zip(rows or (), predictions or (), strict=False):
            if not is_comparable(row, use_case, version, answered_by):
                continue
            inputs.append(row)
            entity = name_row(row, spine, entity_of_request if len(rows) == 1 else None)
            predicted.append((*entity, prediction, answered_by, at))
    sent = select_features(pd.DataFrame.from_records(inputs), use_case)
    answered = pd.concat([type_keys(predicted, spine), _row_columns(sent, use_case)], axis="columns")
    return Window("requests", start, end, sent, answered, n_requests)


def name_row(row: Mapping[str, Any], spine: Spine, entity: str | None) -> list[Any]:
    """
    Return keys and time of a row of a request, None for what is not known.

    Parameters
    ----------
    entity
        Entity that the header named, if the request has one row.
    """
    keys = spine.label_keys
    named = {keys[0]: entity} if len(keys) == 1 else {}
    return [*(row.get(key, named.get(key)) for key in keys), row.get(spine.time)]


def type_keys(predicted: list[tuple[Any, ...]], spine: Spine) -> pd.DataFrame:
    """
    Return predictions with keys and times in their declared types; what does not fit is null.

    A personal key is logged as a pseudonym, which is text.
    """
    keys = spine.label_keys
    frame = pd.DataFrame.from_records(predicted, columns=[*keys, spine.time, *PREDICTION_COLUMNS])
    typed: dict[str, Any] = {}
    for position, name in enumerate(keys):
        is_pseudonym = any(str(row[position]).startswith(PREFIX) for row in predicted)
        is_integer = spine.types[name] == "integer" and not is_pseudonym
        values: list[Any] = [_parse_key(row[position], is_integer=is_integer) for row in predicted]
        typed[name] = pd.array(values, dtype="Int64") if is_integer else pd.Series(values, dtype=object)
    times = pd.to_datetime(frame[spine.time].astype(object), utc=True, errors="coerce", format="ISO8601")
    return frame.assign(**typed, **{spine.time: times.astype("datetime64[us, UTC]")})


def _parse_key(value: Any, *, is_integer: bool) -> int | str | None:
    if value is None or not is_integer:
        return None if value is None else str(value)
    try:
        number = int(value)
    except ValueError:
        return None
    return number if abs(number) < MAX_KEY else None


def read_partitions(
    lake: Lake,
    use_case: UseCase,
    selection: FeatureSelection,
    days: Collection[date],
    *,
    limit: int | None = None,
) -> Window:
    """
    Return the features of `days`, and the batch predictions of those days that were scored.

    With a `limit`, it has at most so many rows of the features, and no predictions.

    Raises
    ------
    PartitionMissing
        If `days` is empty, or a day was never published.
    """
    if not days:
        raise PartitionMissing(
            f"There is no partition of {selection.spine.table} to monitor. Run the DAG that publishes it."
        )
    inputs = window_rows.sample_inputs(lake, use_case, selection, days, limit=limit or MAX_REQUESTS)
    predictions = _read_batch_predictions(lake, use_case, selection.spine, () if limit else days)
    names = _row_names(use_case)
    if names and not limit:
        keys = [*selection.spine.label_keys, DAY]
        rows = read_feature_rows(selection, lake, days, names=names)
        described = pd.concat([rows[keys], _row_columns(rows, use_case)], axis="columns")
        predictions = predictions.merge(described.drop_duplicates(keys, keep=False), on=keys, how="left")
    start = datetime.combine(min(days), time(), UTC)
    end = datetime.combine(max(days), time(), UTC) + timedelta(days=1)
    return Window("partitions", start, end, inputs, predictions, requests=0, days=sorted(days))


def _read_batch_predictions(
    lake: Lake, use_case: UseCase, spine: Spine, days: Collection[date]
) -> pd.DataFrame:
    table = f"{use_case.name}_predictions"
    scored = scored_days(lake, use_case, days)
    probabilities = probability_columns(use_case.label.classes) if use_case.task == "multiclass" else []
    columns = [*spine.label_keys, *(probabilities or [PREDICTION]), VERSION, DAY]
    predictions = lake.read(table, scored, columns=columns) if scored else pd.DataFrame(columns=columns)
    if probabilities:
        # One list of probabilities per row, as in the inference log.
        rows = predictions[probabilities].to_numpy(dtype="float64").tolist()
        predictions = predictions.drop(columns=probabilities)
        predictions = predictions.assign(**{PREDICTION: pd.Series(rows, predictions.index, object)})
    return predictions.assign(**{AT: pd.to_datetime(predictions[DAY], utc=True)})


def read_earlier_windows(
    connection: Connection,
    lake: Lake,
    use_case: UseCase,
    selection: FeatureSelection,
    window: Window,
    *,
    limit: int,
) -> Iterator[Window]:
    """
    Yield at most `limit` windows of the same length before `window`, newest first.

    Each has the requests of its time. If there are none, or few beside scored partitions, and `window` is of
    partitions, it has the partitions before those that were read already, as long as there are any.
    """
    length = timedelta(days=use_case.drift.window_days)
    end = window.until or watermark(connection)
    days = [day for day in lake.days(selection.spine.table) if day < window.start.date()]
    n_days = _partitions_of_window(use_case)
    for number in range(1, limit + 1):
        window_end = end - number * length
        earlier = read_requests(
            connection, use_case, selection.spine, start=window_end - length, end=window_end
        )
        newest_days = days[-n_days:]
        is_stray = _is_small(earlier, use_case) and bool(scored_days(lake, use_case, newest_days))
        if window.source == "requests" or (earlier.requests and not is_stray):
            yield earlier
        elif days:
            days = days[:-n_days]
            yield read_partitions(lake, use_case, selection, newest_days)


def read_partition_windows(
    lake: Lake, use_case: UseCase, selection: FeatureSelection, *, end: datetime, limit: int
) -> Iterator[Window]:
    """
    Yield at most `limit` windows of partitions until the day of `end`, newest first.

    They are those of `read_newest_window` and `read_earlier_windows` where there are no requests.
    """
    days = [day for day in lake.days(selection.spine.table) if day <= end.date()]
    n_days = _partitions_of_window(use_case)
    for _ in range(limit):
        if not days:
            return
        yield replace(read_partitions(lake, use_case, selection, days[-n_days:]), until=end)
        days = days[:-n_days]


def _partitions_of_window(use_case: UseCase) -> int:
    """Return the number of days in a window of partitions; undated rows replace those that landed before."""
    return use_case.drift.window_days if use_case.split.by == "time" else 1


def _row_names(use_case: UseCase) -> list[str]:
    """Return the features by which gates slice rows or costs differ."""
    names = set(use_case.cost.row_columns) if use_case.cost else set()
    for gate in use_case.gates:
        names |= set(gate.columns) if gate.kind == "fairness" else set()
    return [name for name in use_case.features if name in names]


def _row_columns(rows: pd.DataFrame, use_case: UseCase) -> pd.DataFrame:
    """Return those of these features that the rows have, with `ROW_PREFIX`."""
    return rows[[name for name in _row_names(use_case) if name in rows]].add_prefix(ROW_PREFIX)
