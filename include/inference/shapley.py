"""Attribution of single predictions to features, as Shapley values."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from include.errors import DataError
from include.inference import scoring_protocol

if TYPE_CHECKING:
    from pathlib import Path

    from include.inference.model import ServedModel

# File of a package with training rows that represent usual inputs.
BACKGROUND = "background.json"
# Permutations in both directions over the background.
N_ROUNDS = 10


@dataclass(frozen=True, slots=True)
class Attribution:
    """What each feature adds to `base`, the mean prediction of the background, to give `prediction`."""

    base: float
    prediction: float
    contributions: dict[str, float]


@dataclass(frozen=True, slots=True)
class ClassAttributions:
    """For each class of a multiclass model, what each feature adds to its probability."""

    classes: dict[str, Attribution]


def background(folder: Path, model: ServedModel) -> pd.DataFrame:
    """
    Return the training rows in a verified package, which represent usual inputs.

    Raises
    ------
    DataError
        If the package has none.
    """
    try:
        body = (folder / BACKGROUND).read_bytes()
    except FileNotFoundError as error:
        raise DataError(
            f"{folder} has no {BACKGROUND}, so it cannot be explained: train a new version."
        ) from error
    request = scoring_protocol.parse_request(body, "application/json", model.columns)
    return scoring_protocol.frame([request], model.columns)


def attribute(
    model: ServedModel,
    background_rows: pd.DataFrame,
    rows: pd.DataFrame,
    *,
    rounds: int = N_ROUNDS,
    seed: int = 0,
) -> list[Attribution] | list[ClassAttributions]:
    """
    Return the contribution of every feature to each prediction, as Shapley values (Lundberg and Lee 2017).

    They are estimated by permutations over the background, for any kind of model; base and contributions add
    up to the prediction. A row costs `2 * features * rounds * len(background_rows)` predictions, of all
    classes at once.

    Parameters
    ----------
    model
        Model to explain.
    background_rows : DataFrame, shape (n_background, n_features)
        Rows that a feature's value is replaced from.
    rows : DataFrame, shape (n, n_features)
        Rows to explain.
    rounds
        Permutations in both directions.
    seed
        Seed of the permutations.

    Returns
    -------
    list of Attribution, or of ClassAttributions
        One per row; of a multiclass model with one attribution per class.
    """
    names = list(model.features)
    values = pd.concat([background_rows[names], rows[names]], ignore_index=True)
    explanation = _explain(model, values, len(background_rows), rounds, seed)
    predictions = model.predict(rows)
    # A single output has no axis of its own: (n,) and (n, n_features).
    outputs = predictions.reshape(len(rows), -1)
    bases = np.broadcast_to(explanation.base_values, predictions.shape).reshape(outputs.shape)
    contributions = explanation.values.reshape(len(rows), len(names), -1)
    attributions = [
        _attributions(names, *of_row) for of_row in zip(bases, outputs, contributions, strict=True)
    ]
    if not model.classes:
        return [of_row[0] for of_row in attributions]
    labels = [str(label) for label in model.classes]
    return [ClassAttributions(dict(zip(labels, of_row, strict=True))) for of_row in attributions]


def _attributions(
    names: list[str], bases: np.ndarray, outputs: np.ndarray, contributions: np.ndarray
) -> list[Attribution]:
    """Return the attribution of each output of a row; `contributions` has shape (n_features, n_outputs)."""
    attributions = []
    for base, output, added in zip(bases, outputs, contributions.T, strict=True):
        by_name = dict(zip(names, map(float, added), strict=True))
        attributions.append(Attribution(float(base), float(output), by_name))
    return attributions


def _explain(model: ServedModel, values: pd.DataFrame, n_background: int, rounds: int, seed: int) -> Any:
    """Return shap's explanation of the rows of `values` after the first `n_background` ones."""
    from shap.explainers import Permutation
    from shap.maskers import Independent

    # shap subtracts values, which strings do not allow: it gets the first position of each value instead.
    positions = np.column_stack([_first_positions(values[name]) for name in values]).astype(np.float64)

    def predict_positions(coded: np.ndarray) -> np.ndarray:
        codes = coded.astype(np.int64)
        columns = {name: values[name].take(codes[:, index]).array for index, name in enumerate(values)}
        return model.predict(pd.DataFrame(columns))

    masker = Independent(positions[:n_background], max_samples=n_background)
    explainer = Permutation(predict_positions, masker, seed=seed)
    max_evals = (2 * values.shape[1] + 1) * rounds
    return explainer(positions[n_background:], max_evals=max_evals, silent=True)


def _first_positions(values: pd.Series[Any]) -> np.ndarray:
    """Return for each value the first position of an equal one."""
    codes, _ = pd.factorize(values, use_na_sentinel=False)
    first = np.unique(codes, return_index=True)[1]
    positions: np.ndarray = first[codes]
    return positions
