"""Evidence of an evaluation: the figures that the gates judge, as JSON between tasks."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel, ConfigDict

from include.data.snapshots.leakage_history import LeakageRecord
from include.modeling.evaluation.bootstrap import Unit

Figure = float | int | str


class _Figures(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


@dataclass(frozen=True, slots=True)
class Gain:
    """
    How much better the challenger is, in units of the metric; positive is better for every metric.

    With `confidence` the true gain is at most `upper`, and it is at least `lower` in all attempts against the
    same champion together, as far as the `units` of the test rows, days or groups, can tell. The lower bound
    of this `attempt` has `lower_confidence`.
    """

    metric: str
    value: float
    lower: float
    upper: float
    confidence: float
    units: int
    method: str
    unit: Unit = "days"
    attempt: int = 1
    lower_confidence: float | None = None


class ChampionComparison(_Figures):
    """
    The champion on the candidate's test rows.

    `overlap` counts those rows that the champion was trained on; None if its training rows are unknown.
    `problem` is why its predictions cannot be compared with the candidate's; it has no metrics then.
    """

    version: int
    metrics: Mapping[str, float]
    gains: tuple[Gain, ...]
    overlap: int | None
    problem: str = ""


class Measurement(_Figures):
    """
    Measurement of one gate on `rows` rows: figures, items of the same figures, or the problem.

    `problem` is why the gate could not be measured.
    """

    figures: Mapping[str, Figure] = {}
    items: tuple[Mapping[str, Figure | None], ...] = ()
    rows: int = 0
    problem: str | None = None


class CostComparison(_Figures):
    """
    Costs per 1,000 test rows: with the model, with the baseline, and without either.

    `threshold` is the probability from which a row is acted on, `expected_costs` the cost of each decision
    for each actual class, as they were chosen on the rows `chosen_on`, never on test rows; each alternative
    has the threshold that is best for itself. `model_lower` and `model_upper` bound the cost with the model,
    `lower` and `upper` bound what is `saved` against the cheaper
    alternative, each with `confidence`.
    """

    currency: str
    threshold: float | None
    expected_costs: tuple[tuple[float, ...], ...] = ()
    chosen_on: str = "validation"
    model: float
    model_lower: float | None = None
    model_upper: float | None = None
    baseline: float
    without: float
    saved: float
    lower: float
    upper: float
    confidence: float


class SuspectedLabels(_Figures):
    """
    Label errors that are suspected among the test `rows`: their number, and the first of them.

    An item has the entity, the day, the `label`, the `suggested` one and the `margin` between both.
    """

    count: int
    rows: int
    items: tuple[Mapping[str, Figure | None], ...] = ()


class Evidence(_Figures):
    """
    Figures of a candidate.

    Attributes
    ----------
    metrics : mapping
        Metrics by split (train, validation, test).
    rows : mapping
        Rows of each whole split.
    overlap : int
        Test rows that are training rows too.
    prediction_range : tuple of float
        Lowest and highest prediction of a test row.
    units : int
        Test days, or random groups of the test rows.
    unit : str
        `days` or `groups`.
    sampled : mapping
        Rows that a split was measured on, where these are not all.
    undefined : mapping
        Why metrics are undefined, by split and metric.
    intervals : mapping
        95 % interval of each test metric.
    baseline : mapping
        Metrics of the baseline on the test rows.
    skill : float or None
        Share of the way from the baseline to perfect predictions, in the use case's metric.
    costs : CostComparison or None
        None if the use case declares no cost.
    champion : ChampionComparison or None
        None without a champion.
    refusals : int
        Failed attempts since the last promotion.
    leakage : LeakageRecord or None
        What the features' own checks found on the snapshot's days; None if that was not looked up.
    measurements : mapping
        Measurement of each gate, by its key.
    suspected_labels : SuspectedLabels or None
        None of an anomaly task, and of evidence from before they were looked for.
    """

    metrics: Mapping[str, Mapping[str, float]]
    rows: Mapping[str, int]
    overlap: int
    prediction_range: tuple[float, float]
    units: int = 0
    unit: Unit = "days"
    sampled: Mapping[str, int] = {}
    undefined: Mapping[str, Mapping[str, str]] = {}
    intervals: Mapping[str, tuple[float, float]] = {}
    baseline: Mapping[str, float] = {}
    skill: float | None = None
    costs: CostComparison | None = None
    champion: ChampionComparison | None = None
    refusals: int = 0
    leakage: LeakageRecord | None = None
    measurements: Mapping[str, Measurement] = {}
    suspected_labels: SuspectedLabels | None = None

    @property
    def ledger_facts(self) -> dict[str, Any]:
        """What the ledger has of it, besides the verdicts."""
        suspected = self.suspected_labels
        return {} if suspected is None else {"suspected_labels": suspected.model_dump(mode="json")}
