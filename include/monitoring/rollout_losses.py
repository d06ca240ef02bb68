"""Losses of champion and challenger in a rollout, by the labels that have landed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from sqlalchemy import text

from include.data.snapshots.target_encoding import TARGET
from include.declarations.base import INTERNAL_PREFIX
from include.inference.predictions import PREDICTION, VERSION
from include.monitoring.champion_check import key_columns, read_labels
from include.monitoring.label_quality import join_labels
from include.monitoring.personal_values import with_pseudonyms
from include.monitoring.windows import AT, Window, name_row, type_keys
from include.release.analysis import Losses
from include.release.analysis.observations import rollout_start
from include.release.rollout import read_state
from include.settings import settings
from include.specifications import declared_specification

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from sqlalchemy import Connection

    from include.data.lake.delta_tables import Lake
    from include.declarations import UseCase
    from include.declarations.relations.feature_selection import Spine

# Of the challenger, the first ones.
MAX_REQUESTS = 5_000

_OF_CHALLENGER = """
SELECT id, gateway_id, entity_id, inputs, predictions, received_at, role IN ('shadow', 'replay') AS is_copy
FROM inference_log
WHERE use_case = :use_case AND version = :challenger AND received_at >= :since AND role <> 'direct'
  AND status BETWEEN 200 AND 299
ORDER BY received_at, id LIMIT :max_requests
"""
# The originals of copies, and the last request before each other one: what was requested earlier may be of
# another kind.
_OF_CHAMPION = f"""
WITH answer AS ({_OF_CHALLENGER}), earlier AS NOT MATERIALIZED (
  SELECT * FROM inference_log
  WHERE use_case = :use_case AND version = :champion AND role = 'champion' AND status BETWEEN 200 AND 299
), chosen AS (
  SELECT earlier.* FROM earlier JOIN answer USING (gateway_id) WHERE is_copy
  UNION ALL
  SELECT last.* FROM answer CROSS JOIN LATERAL (
    SELECT * FROM earlier WHERE earlier.received_at <= answer.received_at AND earlier.received_at >= :since
    ORDER BY earlier.received_at DESC LIMIT 1
  ) AS last WHERE NOT is_copy
)
SELECT DISTINCT ON (received_at, id) id, gateway_id, entity_id, inputs, predictions, received_at,
       false AS is_copy
FROM chosen ORDER BY received_at, id
"""  # noqa: S608  constants only
# Columns of one version's predictions: what a copy has in common with its original, and the loss.
ROW = f"{INTERNAL_PREFIX}row"
LOSS = f"{INTERNAL_PREFIX}loss"
IS_COPY = f"{INTERNAL_PREFIX}is_copy"


def read_losses(connection: Connection, lake: Lake, use_case: UseCase, version: int) -> Losses | None:
    """
    Return the losses of champion and challenger since the rollout of `version` began, in pairs.

    Where both versions answered a request, in the shadow, their losses are a pair. Any other prediction of
    the challenger is paired with the champion's last one before it: the weights divide requests at random,
    but what is requested changes with time. The loss is the Brier score, for
    several classes half of it, and for regression the absolute error as a share of the width of
    `prediction_range`, at most 1.

    Returns
    -------
    Losses or None
        None without a champion, without a label or before any label has landed.

    Raises
    ------
    DataError
        If an entity has several labels of one time.
    """
    champion = read_state(connection, use_case.name).champion
    began = rollout_start(connection, use_case.name, version)
    dataset = use_case.label.dataset
    if champion in {None, version} or began is None or use_case.label.is_absent:
        return None
    if lake.version(dataset) is None:
        return None
    specification = declared_specification(use_case)
    spine = specification.selection.spine
    parameters = {"use_case": use_case.name, "champion": champion, "challenger": version, "since": began}
    predictions = _read_predictions(connection, spine, parameters)
    if predictions.empty:
        return None
    window = Window("requests", began, began, pd.DataFrame(), predictions, len(predictions))
    labels = read_labels(lake, use_case, spine, [window])
    columns = key_columns(specification)
    key = settings().pseudonym_key
    labels = with_pseudonyms(labels, columns, key)
    predictions = with_pseudonyms(predictions, columns, key)
    by_champion = _losses_of(predictions[predictions[VERSION] == champion], labels, use_case, spine)
    by_challenger = _losses_of(predictions[predictions[VERSION] == version], labels, use_case, spine)
    return pair_losses(by_champion, by_challenger)


def _read_predictions(connection: Connection, spine: Spine, parameters: dict[str, Any]) -> pd.DataFrame:
    rows: list[tuple[Any, ...]] = []
    identities: list[str] = []
    copies: list[bool] = []
    for name, query in {"challenger": _OF_CHALLENGER, "champion": _OF_CHAMPION}.items():
        for request in connection.execute(text(query), parameters | {"max_requests": MAX_REQUESTS}):
            inputs = request.inputs or ()
            sent = enumerate(zip(inputs, request.predictions or (), strict=False))
            for position, (row, prediction) in sent:
                named = name_row(row, spine, request.entity_id if len(inputs) == 1 else None)
                rows.append((*named, prediction, parameters[name], request.received_at))
                identities.append(f"{request.gateway_id or request.id}/{position}")
                copies.append(request.is_copy)
    predictions = type_keys(rows, spine)
    predictions[ROW] = identities
    predictions[IS_COPY] = copies
    return predictions


def _losses_of(
    predictions: pd.DataFrame, labels: pd.DataFrame, use_case: UseCase, spine: Spine
) -> pd.DataFrame:
    """Return `ROW`, `AT`, `IS_COPY` and `LOSS` of predictions with a label that landed, in order of time."""
    joined = join_labels(predictions, labels, use_case, keys=spine.label_keys, time=use_case.label.time)
    labelled = joined[joined[TARGET].notna()].sort_values(AT, kind="stable", ignore_index=True)
    values = np.asarray(labelled[PREDICTION].tolist(), dtype=np.float64)
    losses = compute_losses(use_case, values, labelled[TARGET].to_numpy(dtype=np.float64))
    return labelled[[ROW, AT, IS_COPY]].assign(**{LOSS: losses})


def compute_losses(
    use_case: UseCase, predictions: NDArray[np.float64], target: NDArray[np.float64]
) -> NDArray[np.float64]:
    """
    Return a loss from 0 to 1 of each prediction.

    Parameters
    ----------
    predictions
        Values (n,), or probabilities of the classes (n, n_classes).
    target
        Labels (n,): for classification the number of the class.
    """
    if not len(target):
        return np.zeros(0)
    if use_case.task == "multiclass":
        expected = np.eye(predictions.shape[1])[target.astype(np.intp)]
        multiclass: NDArray[np.float64] = ((predictions - expected) ** 2).sum(axis=1) / 2
        return multiclass
    errors = np.abs(predictions - target)
    if use_case.task == "binary":
        return errors**2
    low, high = use_case.prediction_range
    return np.minimum(errors / (high - low), 1.0)


def pair_losses(champion: pd.DataFrame, challenger: pd.DataFrame) -> Losses | None:
    """
    Return the losses in pairs: those for a row, then each other one with the champion's last before it.

    Copies without an original, and predictions without one before them, have no pair.

    Parameters
    ----------
    champion, challenger
        Columns `ROW`, `AT`, `IS_COPY` and `LOSS`, in order of time.
    """
    same = champion[[ROW, LOSS]].merge(challenger[[ROW, LOSS]], on=ROW, suffixes=("_old", "_new"))
    old = champion[~champion[ROW].isin(same[ROW])]
    new = challenger[~challenger[ROW].isin(same[ROW]) & ~challenger[IS_COPY].astype(bool)]
    rest = pd.merge_asof(new, old, on=AT, suffixes=("_new", "_old"))
    rest = rest.dropna(subset=f"{LOSS}_old").drop_duplicates(f"{ROW}_old")
    columns = [f"{LOSS}_old", f"{LOSS}_new"]
    pairs = pd.concat([same[columns], rest[columns]])
    if pairs.empty:
        return None
    return Losses(tuple(pairs[f"{LOSS}_old"].tolist()), tuple(pairs[f"{LOSS}_new"].tolist()))
