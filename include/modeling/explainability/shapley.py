"""Attribution of single predictions to features, as Shapley values."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from include.errors import ModelError
from include.inference import scoring_protocol
from include.modeling.packaging.package import BACKGROUND

if TYPE_CHECKING:
    from pathlib import Path

    from include.inference.model import ServedModel

# Permutations in both directions over the background.
N_ROUNDS = 10


@dataclass(frozen=True, slots=True)
class Attribution:
    """What each feature adds to `base`, the mean prediction of the background, to give `prediction`."""

    base: float
    prediction: float
    contributions: dict[str, float]


def background(folder: Path, model: ServedModel) -> pd.DataFrame:
    """Return the training rows in a verified package, which represent usual inputs."""
    body = (folder / BACKGROUND).read_bytes()
    request = scoring_protocol.parse_request(body, "application/json", model.columns)
    return scoring_protocol.frame([request], model.columns)


def attribute(
    model: ServedModel,
    background_rows: pd.DataFrame,
    rows: pd.DataFrame,
    *,
    rounds: int = N_ROUNDS,
    seed: int = 0,
) -> list[Attribution]:
    """
    Return the contribution of every feature to each prediction, as Shapley values (Lundberg and Lee 2017).

    They are estimated by permutations over the background, for any kind of model; base and contributions add
    up to the prediction. A row costs `2 * features * rounds * len(background_rows)` predictions.

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

    Raises
    ------
    ModelError
        If the model has several classes: its prediction is no single number.
    """
    if model.classes:
        raise ModelError(
            f"A prediction of {model.interface.use_case} is a probability for each of "
            f"{', '.join(map(str, model.classes))}: it cannot be attributed as one number. "
            "Its importance.png shows what the model depends on."
        )
    names = list(model.features)
    values = pd.concat([background_rows[names], rows[names]], ignore_index=True)
    explanation = _explain(model, values, len(background_rows), rounds, seed)
    predictions = model.predict(rows)
    bases = np.broadcast_to(explanation.base_values, len(rows))
    return [
        Attribution(float(base), float(prediction), dict(zip(names, map(float, contributions), strict=True)))
        for base, prediction, contributions in zip(bases, predictions, explanation.values, strict=True)
    ]


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
