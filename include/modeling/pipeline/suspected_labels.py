"""Suspected label errors: test rows whose label the candidate, which did not learn from them, contradicts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from include.catalog import catalog
from include.data.lake.partition_columns import DAY
from include.declarations.data.columns import personal_names
from include.errors import UndeclaredError
from include.modeling.evaluation.evidence import SuspectedLabels
from include.pseudonyms import MASK, pseudonym
from include.settings import settings

if TYPE_CHECKING:
    from pathlib import Path

    from include.declarations import Column, Task, UseCase
    from include.declarations.specification import Specification
    from include.modeling.evaluation.bootstrap import Values
    from include.modeling.evaluation.context import ScoredSplit
    from include.modeling.evaluation.evidence import Figure

FILE = "suspected_labels.csv"
MAX_FILE_ROWS = 1_000
# Of the evidence, which people see on the page of the model.
MAX_ITEMS = 20
FENCE = 3.0
LABEL = "label"
SUGGESTED = "suggested"
MARGIN = "margin"


@dataclass(frozen=True, slots=True)
class Suspect:
    """A row by its position, the target that it should have, and how far its label is from it."""

    position: int
    suggested: float
    margin: float


def find_suspects(predictions: Values, target: Values, task: Task) -> list[Suspect]:
    """
    Return the rows whose label is suspected to be wrong, the most suspicious first.

    Of classes it is confident learning (Northcutt et al. 2021): a row is suspected if its probability of
    another class is at least the mean probability of that class among its own rows, and the greatest such;
    the margin is by how much it exceeds the probability of the label. These are the rows that cleanlab finds
    (2.9, `filter_by="confident_learning"`); it would be one more package of each image that trains, for a
    rule of ten lines. Of numbers, a row is suspected if its residual is beyond Tukey's
    outer fences (1977), three interquartile ranges beyond the quartiles; the margin is the absolute residual.

    Parameters
    ----------
    predictions
        Predictions of rows that the model did not learn from: probabilities (n,) of the positive class or
        (n, n_classes), or numbers (n,).
    target
        Codes of the classes, or numbers (n,).
    """
    if not len(target):
        return []
    if task == "regression":
        suspects = _suspect_residuals(predictions, target)
    else:
        probabilities = predictions
        if predictions.ndim == 1:
            probabilities = np.column_stack([1 - predictions, predictions])
        suspects = _suspect_classes(probabilities, target.astype(np.intp))
    return sorted(suspects, key=lambda suspect: (-suspect.margin, suspect.position))


def _suspect_classes(probabilities: Values, codes: Any) -> list[Suspect]:
    n_classes = probabilities.shape[1]
    thresholds = np.full(n_classes, np.inf)
    for code in np.unique(codes):
        thresholds[code] = probabilities[codes == code, code].mean()
    confident = np.where(probabilities >= thresholds, probabilities, -1.0)
    suggested = confident.argmax(axis=1)
    rows = np.arange(len(codes))
    margins = probabilities[rows, suggested] - probabilities[rows, codes]
    is_suspected = (confident.max(axis=1) >= 0) & (suggested != codes) & (margins > 0)
    return [
        Suspect(int(row), float(suggested[row]), float(margins[row])) for row in np.flatnonzero(is_suspected)
    ]


def _suspect_residuals(predictions: Values, target: Values) -> list[Suspect]:
    residuals = target - predictions
    lower, upper = np.quantile(residuals, (0.25, 0.75))
    reach = FENCE * (upper - lower)
    outside = np.flatnonzero((residuals < lower - reach) | (residuals > upper + reach))
    return [Suspect(int(row), float(predictions[row]), abs(float(residuals[row]))) for row in outside]


def suspected_labels(specification: Specification, test: ScoredSplit) -> SuspectedLabels | None:
    """Return the suspects among the test rows as people may see them; None of an anomaly task."""
    use_case = specification.use_case
    if use_case.label.is_absent:
        return None
    suspects = find_suspects(test.predictions, test.target, use_case.task)
    items = tuple(_describe_suspect(specification, test, suspect) for suspect in suspects[:MAX_FILE_ROWS])
    return SuspectedLabels(count=len(suspects), rows=len(test.target), items=items)


def write_suspects(suspected: SuspectedLabels | None, folder: Path) -> list[Path]:
    """Write the suspects into `folder`, at most `MAX_FILE_ROWS`; return the path, none without suspects."""
    if suspected is None or not suspected.items:
        return []
    path = folder / FILE
    pd.DataFrame([dict(item) for item in suspected.items]).to_csv(path, index=False)
    return [path]


def shortened(suspected: SuspectedLabels | None) -> SuspectedLabels | None:
    """Return the suspects with the first `MAX_ITEMS` rows only."""
    return suspected and suspected.model_copy(update={"items": suspected.items[:MAX_ITEMS]})


def _describe_suspect(
    specification: Specification, test: ScoredSplit, suspect: Suspect
) -> dict[str, Figure | None]:
    use_case = specification.use_case
    columns = _key_columns(specification)
    row = test.frame.iloc[suspect.position]
    item: dict[str, Figure | None] = {}
    for name in specification.selection.spine.label_keys:
        is_personal = name in personal_names(columns)
        item[name] = pseudonym(row[name], settings().pseudonym_key) if is_personal else str(row[name])
    if DAY in row.index:
        item[DAY] = str(row[DAY])
    time = use_case.label.time
    if time is not None:
        item[time] = pd.Timestamp(row[time]).isoformat()
    is_hidden = use_case.label.column in personal_names(columns)
    item[LABEL] = MASK if is_hidden else _name_target(use_case, float(test.target[suspect.position]))
    item[SUGGESTED] = _name_target(use_case, suspect.suggested)
    item[MARGIN] = suspect.margin
    return item


def _name_target(use_case: UseCase, target: float) -> Figure:
    return use_case.class_names[int(target)] if use_case.class_names else target


def _key_columns(specification: Specification) -> list[Column]:
    """Return the columns of the views and of the label's dataset, as far as this is declared today."""
    columns: list[Column] = []
    for view in specification.selection.views:
        columns += view.columns
    try:
        columns += catalog().datasets[specification.use_case.label.dataset].columns
    except (KeyError, UndeclaredError):
        return columns
    return columns
