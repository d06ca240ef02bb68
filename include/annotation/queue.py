"""The queue of rows that are worth a label: predictions without one, chosen by the declared rules."""

from __future__ import annotations

import csv
import io
from dataclasses import replace
from datetime import date, datetime
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from sqlalchemy import and_, select

from include.annotation.label_rows import Event, require_label
from include.annotation.selection import (
    measure_disagreement,
    measure_drift_of_rows,
    measure_uncertainty,
    select_rows,
)
from include.annotation.sheet import QueueRow
from include.catalog import catalog
from include.data.feature_store.feature_rows import read_feature_rows
from include.data.lake.partition_columns import DAY
from include.database.tables import inference_log
from include.inference.predictions import PREDICTION
from include.modeling.pipeline.suspected_labels import FILE, LABEL, SUGGESTED
from include.monitoring import champion_check, windows
from include.monitoring.personal_values import with_pseudonyms
from include.monitoring.quality.maturity import LANDED
from include.monitoring.quality.skill import as_array
from include.monitoring.windows import AT
from include.settings import settings

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy.typing as npt
    from sqlalchemy import Connection

    from include.data.lake.delta_tables import Lake
    from include.declarations import Column, UseCase
    from include.modeling.registry.registry import Registry
    from include.monitoring.champion_check import ChampionContext
    from include.monitoring.windows import Window

OTHER = "_airworthy_other"
SUSPECTED = "suspected"


def select_queue(
    champion: ChampionContext,
    connection: Connection,
    lake: Lake,
    *,
    importance: Mapping[str, float],
    limit: int | None = None,
) -> list[QueueRow]:
    """
    Return the rows of the newest window that are worth a label, without those whose label has landed.

    They are the champion's requests in `drift.window_days`, or its newest scored partitions. A row counts if
    its entity is known. Without new data the result is always the same.

    Parameters
    ----------
    importance
        How much worse the model is without each feature; empty if it is not known.
    limit
        Largest number of rows; by default that of the declaration.

    Raises
    ------
    DataError
        If the use case has no label.
    PartitionMissing
        If there are neither requests nor partitions.
    """
    use_case = champion.use_case
    require_label(use_case)
    window = champion_check.read_window(champion, connection, lake)
    rows = _read_unlabelled(champion, window, connection, lake)
    if rows.empty:
        return []
    scores = _score_rows(champion, window, rows, connection, importance)
    declared: dict[str, npt.NDArray[np.float64]] = {
        rule: scores[rule] for rule in use_case.annotation.rules if rule in scores
    }
    chosen = select_rows(declared, limit or use_case.annotation.rows)
    return [_queue_row(champion, rows.iloc[position], rule) for position, rule in chosen]


def select_suspects(
    registry: Registry, use_case: UseCase, version: int, *, limit: int | None = None
) -> list[QueueRow]:
    """
    Return the test rows of a version whose label is suspected to be wrong, the most suspicious first.

    Raises
    ------
    DataError
        If the use case has no label.
    ServiceUnavailable
        If MLflow does not answer.
    """
    require_label(use_case)
    run_id = registry.tags_of(use_case.name, version).get("airworthy.run_id", "")
    file = registry.read_file(run_id, FILE) if run_id else None
    keys = catalog().features_of(use_case).spine.label_keys
    time = use_case.label.time
    rows = []
    for item in csv.DictReader(io.StringIO(file.decode() if file else "")):
        at = date.fromisoformat(item[DAY]) if time is None else datetime.fromisoformat(item[time])
        event = Event(tuple(item[name] for name in keys), at)
        rows.append(QueueRow(event, SUSPECTED, f"{item[SUGGESTED]}, and the label is {item[LABEL]}"))
    return rows[: limit or use_case.annotation.rows]


def _public_columns(champion: ChampionContext) -> list[Column]:
    """Return the features that may be shown to people."""
    specified = champion.specification.selection.columns
    return [specified[name] for name in champion.use_case.features if not specified[name].personal]


def _read_unlabelled(
    champion: ChampionContext, window: Window, connection: Connection, lake: Lake
) -> pd.DataFrame:
    """Return the champion's predictions without a label, with their features, by entity and time."""
    use_case = champion.use_case
    spine = champion.specification.selection.spine
    if window.source == "requests":
        predicted = pd.concat([window.predictions, window.inputs], axis=1)
    else:
        predicted = _with_features(champion, window, lake)
    predicted = predicted.dropna(subset=list(spine.label_keys))
    if use_case.label.time is not None:
        predicted = predicted.dropna(subset=[use_case.label.time])
    if predicted.empty:
        return predicted
    window = replace(window, predictions=predicted)
    if lake.version(use_case.label.dataset) is None:
        names = dict.fromkeys((*spine.label_keys, DAY, use_case.label.column))
        labels = pd.DataFrame(columns=list(names))
    else:
        labels = champion_check.read_labels(lake, use_case, spine, [window])
    now = window.until or windows.watermark(connection)
    joined = champion_check.join_windows(champion, [window], labels, now=now)[0]
    unlabelled = joined[~joined[LANDED]]
    return unlabelled.sort_values([*spine.label_keys, AT], kind="stable", ignore_index=True)


def _with_features(champion: ChampionContext, window: Window, lake: Lake) -> pd.DataFrame:
    """Return the batch predictions of partitions with the features that they were made from."""
    selection = champion.specification.selection
    keys = [*selection.spine.label_keys, DAY]
    days = sorted({date.fromisoformat(str(day)) for day in window.predictions[DAY]})
    if not days:
        return window.predictions
    rows = read_feature_rows(selection, lake, days, names=champion.use_case.features)
    rows = rows.drop_duplicates(keys, keep="last")
    return window.predictions.assign(**{DAY: window.predictions[DAY].astype(str)}).merge(
        rows.assign(**{DAY: rows[DAY].astype(str)}), on=keys, how="inner"
    )


def _score_rows(
    champion: ChampionContext,
    window: Window,
    rows: pd.DataFrame,
    connection: Connection,
    importance: Mapping[str, float],
) -> dict[str, npt.NDArray[np.float64]]:
    """Return the scores (n,) of each rule that applies."""
    predictions = as_array(rows)
    scores = {
        "drifted": measure_drift_of_rows(champion.reference, rows, _public_columns(champion), importance)
    }
    uncertainty = measure_uncertainty(predictions, champion.use_case.task)
    if uncertainty is not None:
        scores["uncertain"] = uncertainty
    copies = _read_copies(champion, window, connection)
    if len(copies):
        keys = [*champion.specification.selection.spine.label_keys, AT]
        matched = rows[keys].merge(copies.drop_duplicates(keys, keep="last"), on=keys, how="left")
        scores["disagreement"] = measure_disagreement(
            predictions, _as_predictions(matched[OTHER], predictions)
        )
    return scores


def _as_predictions(column: pd.Series, like: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Return predictions in the shape of others, NaN where there is none."""
    missing = np.full(like.shape[1:], np.nan)
    values = [missing if isinstance(value, float) and np.isnan(value) else value for value in column]
    return np.array(values, dtype=np.float64)


def _read_copies(champion: ChampionContext, window: Window, connection: Connection) -> pd.DataFrame:
    """Return what a challenger predicted for copies of the champion's requests: keys, time, prediction."""
    answered = inference_log.alias("answered")
    copied = inference_log.alias("copied")
    is_copy = and_(
        copied.c.use_case == answered.c.use_case,
        copied.c.gateway_id == answered.c.gateway_id,
        copied.c.role == "shadow",
        copied.c.version != answered.c.version,
        copied.c.status.between(200, 299),
    )
    query = (
        select(answered.c.entity_id, answered.c.inputs, answered.c.received_at, copied.c.version,
               copied.c.predictions)
        .join(copied, is_copy)
        .where(
            answered.c.use_case == champion.use_case.name,
            answered.c.version == champion.state.champion,
            answered.c.role.in_(("champion", "challenger")),
            answered.c.received_at >= window.start,
            answered.c.received_at < window.end,
        )
        .order_by(copied.c.version, answered.c.received_at)
        .limit(windows.MAX_REQUESTS)
    )  # fmt: skip
    spine = champion.specification.selection.spine
    predicted: list[tuple[Any, ...]] = []
    for entity_id, inputs, at, version, predictions in connection.execute(query):
        for row, prediction in zip(inputs or (), predictions or (), strict=False):
            entity = windows.name_row(row, spine, entity_id if len(inputs) == 1 else None)
            predicted.append((*entity, prediction, version, at))
    copies = windows.type_keys(predicted, spine).rename(columns={PREDICTION: OTHER})
    columns = champion_check.key_columns(champion.specification)
    copies = with_pseudonyms(copies, columns, settings().pseudonym_key)
    return copies[[*spine.label_keys, AT, OTHER]]


def _queue_row(champion: ChampionContext, row: pd.Series[Any], rule: str) -> QueueRow:
    spine = champion.specification.selection.spine
    entity = tuple(str(row[name]) for name in spine.label_keys)
    features = {
        column.name: row[column.name] for column in _public_columns(champion) if column.name in row.index
    }
    return QueueRow(
        Event(entity, _event_time(row, spine.time)), rule, _prediction_text(champion, row), features
    )


def _event_time(row: pd.Series[Any], time: str) -> Any:
    """Return the day of a scored row, the time of the event that a caller sent, or that of the request."""
    if DAY in row.index:
        return date.fromisoformat(str(row[DAY]))
    sent = row.get(time)
    moment = row[AT] if sent is None or pd.isna(sent) else sent
    return pd.Timestamp(moment).to_pydatetime()


def _prediction_text(champion: ChampionContext, row: pd.Series[Any]) -> str:
    prediction = row[PREDICTION]
    if not isinstance(prediction, list | tuple | np.ndarray):
        return f"{prediction:.4g}"
    names = champion.use_case.class_names
    return ", ".join(f"{name} {value:.3g}" for name, value in zip(names, prediction, strict=False))
