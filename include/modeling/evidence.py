"""What is known about a candidate when its gates judge it: figures only, so it travels as JSON."""

from __future__ import annotations

from collections.abc import Mapping

from pydantic import BaseModel, ConfigDict

from include.modeling.comparison import Gain


class _Figures(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class Rivalry(_Figures):
    """
    The champion on the candidate's test rows.

    `overlap` is how many of those rows the champion was trained on; None if nobody knows its training rows.
    """

    version: int
    metrics: Mapping[str, float]
    gains: tuple[Gain, ...]
    overlap: int | None


class Evidence(_Figures):
    """
    The candidate's metrics and rows per split (train, validation, test), and what the gates compare.

    `overlap` counts test rows that are training rows too; `parity_gap` is the largest difference between the
    packaged model's answers and those given in training, on `parity_rows` rows; `answers` is the range of
    the predictions on the test rows; `refusals` counts challengers refused since the last promotion.
    """

    metrics: Mapping[str, Mapping[str, float]]
    rows: Mapping[str, int]
    overlap: int
    parity_rows: int
    parity_gap: float
    answers: tuple[float, float]
    champion: Rivalry | None = None
    refusals: int = 0
