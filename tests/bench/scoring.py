"""What scoring in a batch and evaluating cost beyond the model's own predictions."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.bench.figures import Figure
from tests.bench.rig import BARE_CASE
from tests.bench.serving import served

if TYPE_CHECKING:
    from tests.bench.rig import Rig


def batch_scoring_vs_model_ratio(rig: Rig) -> Figure:
    """Compare the core of a scoring task, from lake to staged predictions, with the estimator's predict."""
    served(rig)
    found = rig.bare.ask("score", use_case=BARE_CASE)
    return Figure(
        "batch_scoring_vs_model_ratio",
        found["ours"] / found["model"],
        "ratio",
        "the estimator's own predict",
        f"{found['rows']:,} rows: checked and labelled in {found['ours']:.2f} s, predict alone "
        f"{found['model']:.2f} s, median of {found['turns']}",
    )


def evaluation_vs_scoring_ratio(rig: Rig) -> Figure:
    """Compare a whole evaluation, with the champion on the same rows, with the predictions it needs."""
    served(rig)
    found = rig.bare.ask("evaluation", use_case=BARE_CASE)
    return Figure(
        "evaluation_vs_scoring_ratio",
        found["ours"] / found["scoring"],
        "ratio",
        "the predictions that it needs",
        f"{found['rows']:,} rows, candidate and champion, metrics, bootstrap, all kept in MLflow: "
        f"{found['ours']:.2f} s, predictions alone {found['scoring']:.2f} s, median of {found['turns']}",
    )
