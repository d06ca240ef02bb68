"""Losses of champion and challenger in a rollout, by the labels that have landed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from sqlalchemy import select

from include.data.snapshots.target_encoding import TARGET
from include.database.tables import inference_log
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
    from datetime import datetime

    from numpy.typing import NDArray
    from sqlalchemy import Connection

    from include.data.lake.delta_tables import Lake
    from include.declarations import UseCase
    from include.declarations.relations.feature_selection import Spine

# Of each version, the first ones.
MAX_REQUESTS = 5_000
# Columns of one version's predictions: what a copy has in common with its original, and the loss.
ROW = f"{INTERNAL_PREFIX}row"
LOSS = f"{INTERNAL_PREFIX}loss"


def read_losses(connection: Connection, lake: Lake, use_case: UseCase, version: int) -> Losses | None:
    """
    Return the losses of champion and challenger since the rollout of `version` began, in pairs.

    Where both versions answered a request, in the shadow, their losses are a pair. Other predictions are
    paired in the order of time: the weights divide requests at random. The loss is the Brier score, for
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
    predictions = _read_predictions(connection, use_case.name, spine, (champion, version), began)
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


def _read_predictions(
    connection: Connection, name: str, spine: Spine, versions: tuple[int | None, int], since: datetime
) -> pd.DataFrame:
    rows: list[tuple[Any, ...]] = []
    identities: list[str] = []
    for version in versions:
        log = inference_log.c
        query = (
            select(log.id, log.gateway_id, log.entity_id, log.inputs, log.predictions, log.received_at)
            .where(log.use_case == name, log.version == version, log.received_at >= since)
            .where(log.status.between(200, 299), log.role != "direct")
            .order_by(log.received_at, log.id)
            .limit(MAX_REQUESTS)
        )
        for request in connection.execute(query):
            inputs = request.inputs or ()
            sent = enumerate(zip(inputs, request.predictions or (), strict=False))
            for position, (row, prediction) in sent:
                named = name_row(row, spine, request.entity_id if len(inputs) == 1 else None)
                rows.append((*named, prediction, version, request.received_at))
                identities.append(f"{request.gateway_id or request.id}/{position}")
    return type_keys(rows, spine).assign(**{ROW: identities})


def _losses_of(
    predictions: pd.DataFrame, labels: pd.DataFrame, use_case: UseCase, spine: Spine
) -> pd.DataFrame:
    """Return `ROW` and `LOSS` of the predictions whose label has landed with a value, in order of time."""
    joined = join_labels(predictions, labels, use_case, keys=spine.label_keys, time=use_case.label.time)
    labelled = joined[joined[TARGET].notna()].sort_values(AT, kind="stable", ignore_index=True)
    values = np.asarray(labelled[PREDICTION].tolist(), dtype=np.float64)
    losses = compute_losses(use_case, values, labelled[TARGET].to_numpy(dtype=np.float64))
    return pd.DataFrame({ROW: labelled[ROW], LOSS: losses})


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
    Return the losses in pairs: those for the same row, then the others in the order of time.

    Parameters
    ----------
    champion, challenger
        Columns `ROW` and `LOSS`, in order of time.
    """
    same = champion.merge(challenger, on=ROW, suffixes=("_old", "_new"))
    others = [frame[~frame[ROW].isin(same[ROW])][LOSS].tolist() for frame in (champion, challenger)]
    rest = list(zip(*others, strict=False))
    old = [*same[f"{LOSS}_old"].tolist(), *(pair[0] for pair in rest)]
    new = [*same[f"{LOSS}_new"].tolist(), *(pair[1] for pair in rest)]
    return Losses(tuple(old), tuple(new)) if old else None
