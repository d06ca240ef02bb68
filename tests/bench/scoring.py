"""The cost of batch scoring and of evaluation in multiples of the model's own predictions."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.bench.figures import Figure
from tests.bench.rig import BARE_CASE
from tests.bench.serving import serve_champion

if TYPE_CHECKING:
    from tests.bench.rig import Rig


def batch_scoring_vs_model_ratio(rig: Rig) -> Figure:
    """Compare the core of a scoring task, from lake to staged predictions, with the estimator's predict."""
    serve_champion(rig)
    seconds = rig.bare.ask("score", use_case=BARE_CASE)
    return Figure(
        "batch_scoring_vs_model_ratio",
        seconds["scoring"] / seconds["predict"],
        "ratio",
        "the estimator's own predict",
        f"{seconds['rows']:,} rows: checked and labelled in {seconds['scoring']:.2f} s, predict alone "
        f"{seconds['predict']:.2f} s, median of {seconds['turns']}",
    )


def evaluation_vs_scoring_ratio(rig: Rig) -> Figure:
    """Compare an evaluation with all gates with one scoring of its test rows plus the bootstrap."""
    serve_champion(rig)
    seconds = rig.bare.ask("evaluation", use_case=BARE_CASE)
    total = seconds["evaluation"]
    needed = seconds["predict"] + seconds["bootstrap"]
    per_rows = (total - seconds["small_evaluation"]) / needed
    return Figure(
        "evaluation_vs_scoring_ratio",
        total / needed,
        "ratio",
        "scoring the test rows once, plus the bootstrap",
        f"{seconds['rows']:,} test rows, candidate and champion, {seconds['gates']} gates and the mandatory "
        f"ones, figures, all logged to MLflow: {total:.2f} s; scoring {seconds['predict']:.2f} s, bootstrap "
        f"{seconds['bootstrap']:.2f} s, median of {seconds['turns']}; on {seconds['small_rows']:,} rows it "
        f"takes {seconds['small_evaluation']:.2f} s, so {per_rows:.2f} times are for the rows",
    )
