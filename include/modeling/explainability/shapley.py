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


ROUNDS = 10  # permutations there and back, over the background


@dataclass(frozen=True, slots=True)
class Attribution:
    """What each feature added to the usual answer `base`, so that it became `prediction`."""

    base: float
    prediction: float
    contributions: dict[str, float]


def background(folder: Path, model: ServedModel) -> pd.DataFrame:
    """Return the training rows that travel with a verified model: what is usual to it."""
    body = (folder / BACKGROUND).read_bytes()
    return scoring_protocol.frame(
        [scoring_protocol.parse_request(body, "application/json", model.columns)], model.columns
    )


def attribute(
    model: ServedModel, usual: pd.DataFrame, rows: pd.DataFrame, *, rounds: int = ROUNDS, seed: int = 0
) -> list[Attribution]:
    """
    Return for each of `rows` what every feature contributed, as Shapley values (Lundberg and Lee, 2017).

    They are estimated by permutations over the rows `usual`, whatever the model is made of; base and
    contributions add up to the prediction that callers get. One row costs `2 * features * rounds` times the
    rows of `usual`, in predictions.

    :raises ModelError: for a model of several classes, whose answer is no single number
    """
    if model.classes:
        raise ModelError(
            f"A prediction of {model.interface.use_case} is a probability for each of "
            f"{', '.join(model.classes)}: it cannot be attributed as one number. "
            "Its importance.png shows what the model depends on."
        )
    from shap.explainers import Permutation
    from shap.maskers import Independent

    names = list(model.features)
    known = pd.concat([usual[names], rows[names]], ignore_index=True)
    codes = np.column_stack([_first_places(known[name]) for name in names]).astype(np.float64)

    def answer(coded: np.ndarray) -> np.ndarray:
        places = coded.astype(np.int64)
        columns = {name: known[name].take(places[:, n]).array for n, name in enumerate(names)}
        return model.predict(pd.DataFrame(columns))

    masker = Independent(codes[: len(usual)], max_samples=len(usual))
    explainer = Permutation(answer, masker, seed=seed)
    wanted = codes[len(usual) :]
    explained = explainer(wanted, max_evals=(2 * len(names) + 1) * rounds, silent=True)
    predictions, bases = answer(wanted), np.broadcast_to(explained.base_values, len(wanted))
    return [
        Attribution(float(base), float(prediction), dict(zip(names, map(float, values), strict=True)))
        for base, prediction, values in zip(bases, predictions, explained.values, strict=True)
    ]


def _first_places(values: pd.Series[Any]) -> np.ndarray:
    """Return for each value where it is first: shap subtracts values, and strings have no difference."""
    codes, _ = pd.factorize(values, use_na_sentinel=False)
    first = np.unique(codes, return_index=True)[1]
    places: np.ndarray = first[codes]
    return places
