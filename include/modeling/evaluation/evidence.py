"""What is known about a candidate when its gates judge it: figures only, so it travels as JSON."""

from __future__ import annotations

from collections.abc import Mapping

from pydantic import BaseModel, ConfigDict

from include.data.snapshots.leakage_history import LeakageRecord
from include.modeling.evaluation.comparison import Gain

Figure = float | int | str


class _Figures(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class ChampionComparison(_Figures):
    """
    The champion on the candidate's test rows.

    `overlap` is how many of those rows the champion was trained on; None if nobody knows its training rows.
    """

    version: int
    metrics: Mapping[str, float]
    gains: tuple[Gain, ...]
    overlap: int | None


class Measurement(_Figures):
    """
    What was measured for one gate: figures, the same for each of several items, or why it could not be.

    `rows` is on how many rows.
    """

    figures: Mapping[str, Figure] = {}
    items: tuple[Mapping[str, Figure | None], ...] = ()
    rows: int = 0
    problem: str | None = None


class CostComparison(_Figures):
    """
    What predictions cost, per thousand test rows: with the model, with the naive forecast, and with neither.

    `threshold` is the probability from which a row is acted on, chosen on validation rows; each alternative
    has the threshold that is best for itself. The bounds are those of what is saved against the better one.
    """

    currency: str
    threshold: float | None
    model: float
    baseline: float
    without: float
    saved: float
    lower: float
    upper: float
    confidence: float


class Evidence(_Figures):
    """
    The candidate's metrics and rows per split (train, validation, test), and what the gates compare.

    `sampled` says on how many rows a split was measured where not on all; `intervals` are those of the test
    metrics, 95 % between their bounds, over `days` test days; `naive` are the metrics of the naive forecast
    on the test rows, and `skill` what the use case's metric gains on it. `overlap` counts test rows that are
    training rows too; `answers` is the range of the predictions on the test rows; `refusals` counts failed
    attempts since the last promotion; `leakage` is what the features' own checks said of the snapshot's days,
    None if nobody looked; `measured` holds what each gate asked for, by its key.
    """

    metrics: Mapping[str, Mapping[str, float]]
    rows: Mapping[str, int]
    overlap: int
    prediction_range: tuple[float, float]
    days: int = 0
    sampled: Mapping[str, int] = {}
    intervals: Mapping[str, tuple[float, float]] = {}
    baseline: Mapping[str, float] = {}
    skill: float | None = None
    costs: CostComparison | None = None
    champion: ChampionComparison | None = None
    refusals: int = 0
    leakage: LeakageRecord | None = None
    measurements: Mapping[str, Measurement] = {}
