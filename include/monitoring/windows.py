"""What monitoring looks at: the requests that were served, or, where nobody asks, the scored partitions."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta
from typing import TYPE_CHECKING, Any, Literal

import pandas as pd
from sqlalchemy import func, select

from include.database.tables import inference_log
from include.errors import PartitionMissing

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator
    from datetime import date

    from sqlalchemy import Connection

    from include.data.lake.delta_tables import Lake
    from include.declarations import FeatureView, UseCase

LAG = timedelta(
    seconds=5
)  # the inference log writes ten times a second; what is newer may still be on its way
MOST_REQUESTS = 100_000
PREDICTIONS = ("prediction", "version", "at")


@dataclass(frozen=True, slots=True)
class Window:
    """
    Rows from `start` to before `end`, and where they came from.

    `inputs` has the use case's features. `answers` has the view's entity, `prediction` (of several classes a
    list of probabilities), `version` and `at`, the moment of the request or the partition; for requests row
    by row beside `inputs`, for partitions only what was scored, with its `day`. `requests` is how many there
    were, also those that were not read.
    """

    source: Literal["requests", "partitions"]
    start: datetime
    end: datetime
    inputs: pd.DataFrame
    predictions: pd.DataFrame
    requests: int


def watermark(connection: Connection) -> datetime:
    """Return the moment up to which the inference log is complete, by the database's clock."""
    moment: datetime = connection.execute(select(func.clock_timestamp())).scalar_one()
    return moment - LAG


def read_requests(
    connection: Connection, lake: Lake, use_case: UseCase, view: FeatureView, *, end: datetime | None = None
) -> Window:
    """
    Return the requests of the `drift.window_days` before `end` (the watermark), or the newest partitions.

    :raises PartitionMissing: if there are neither requests nor partitions of the feature view
    """
    end = min(end, watermark(connection)) if end else watermark(connection)
    start = end - timedelta(days=use_case.drift.window_days)
    served = requests(connection, use_case, view, start=start, end=end)
    if served.requests:
        return served
    return window_partitions(lake, use_case, view, lake.days(view.name)[-use_case.drift.window_days :])


def requests(
    connection: Connection,
    use_case: UseCase,
    view: FeatureView,
    *,
    start: datetime,
    end: datetime,
    most: int = MOST_REQUESTS,
) -> Window:
    """
    Return what callers asked and got; of more than `most` requests always the same ones, whatever their time.

    Copies to a shadow and failures are left out. An entity is known for rows that carry its key, and for
    requests of one row that named it.
    """
    log = inference_log.c
    where = (
        log.use_case == use_case.name,
        log.role != "shadow",
        log.status.between(200, 299),
        log.received_at >= start,
        log.received_at < end,
    )
    count = connection.execute(select(func.count()).where(*where)).scalar_one()
    query = (
        select(log.entity_id, log.version, log.inputs, log.predictions, log.received_at)
        .where(*where)
        .order_by(func.md5(log.request_id), log.received_at)
        .limit(most)
    )
    inputs: list[dict[str, Any]] = []
    answers: list[tuple[str | None, float, int, datetime]] = []
    for named, version, rows, predictions, at in connection.execute(query):
        for row, prediction in zip(rows or (), predictions or (), strict=False):
            inputs.append(row)
            entity = row.get(view.entity) or (named if len(rows) == 1 else None)
            answers.append((entity, prediction, version, at))
    return Window(
        "requests",
        start,
        end,
        _features(pd.DataFrame.from_records(inputs), use_case),
        pd.DataFrame.from_records(answers, columns=[view.entity, *PREDICTIONS]),
        count,
    )


def window_partitions(lake: Lake, use_case: UseCase, view: FeatureView, days: Collection[date]) -> Window:
    """
    Return the features of these days, and the batch predictions where there are some.

    :raises PartitionMissing: if there is no day, or one was never published
    """
    if not days:
        raise PartitionMissing(
            f"There is no partition of {view.name} to look at. Run the DAG {view.name}_features."
        )
    inputs = lake.read(view.name, days)
    table = f"{use_case.name}_predictions"
    scored = sorted(set(days) & set(lake.days(table)))
    probabilities = [f"probability_{name}" for name in use_case.label.classes]
    columns = [view.entity, *(probabilities or ["prediction"]), "version", "day"]
    answers = lake.read(table, scored, columns=columns) if scored else pd.DataFrame(columns=columns)
    if probabilities:  # as a request is answered
        rows = answers[probabilities].to_numpy(dtype="float64").tolist()
        answers = answers.drop(columns=probabilities).assign(
            prediction=pd.Series(rows, answers.index, object)
        )
    answers = answers.assign(at=pd.to_datetime(answers["day"], utc=True))
    start, last = (datetime.combine(day, time(), UTC) for day in (min(days), max(days)))
    inputs = _features(inputs, use_case)
    return Window("partitions", start, last + timedelta(days=1), inputs, answers, requests=0)


def before(
    connection: Connection, lake: Lake, use_case: UseCase, view: FeatureView, seen: Window, *, most: int
) -> Iterator[Window]:
    """
    Return `most` windows of the same length before `seen`, newest first.

    Each has the requests of its time; where there are none, and none in `seen`, the partitions before those
    that were looked at, as far as there are any.
    """
    length = timedelta(days=use_case.drift.window_days)
    end = seen.end if seen.source == "requests" else watermark(connection)
    days = [day for day in lake.days(view.name) if day < seen.start.date()]
    for number in range(1, most + 1):
        back = number * length
        served = requests(connection, use_case, view, start=end - back - length, end=end - back)
        if served.requests or seen.source == "requests":
            yield served
        elif days:
            days, earlier = days[: -length.days], days[-length.days :]
            yield window_partitions(lake, use_case, view, earlier)


def _features(rows: pd.DataFrame, use_case: UseCase) -> pd.DataFrame:
    # A feature that nobody sent must stay missing, so that drift sees it.
    return rows[[name for name in use_case.features if name in rows]]
