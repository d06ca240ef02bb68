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
        seconds["scoring"]["cpu"] / seconds["predict"]["cpu"],
        "ratio",
        "the estimator's own predict",
        f"{seconds['rows']:,} rows, CPU time: checked and labelled in {seconds['scoring']['cpu']:.2f} s, "
        f"predict alone {seconds['predict']['cpu']:.2f} s, median of {seconds['turns']}",
    )


def evaluation_vs_scoring_ratio(rig: Rig) -> Figure:
    """Compare an evaluation with all gates with one scoring of its test rows plus the bootstrap."""
    serve_champion(rig)
    seconds = rig.bare.ask("evaluation", use_case=BARE_CASE)
    total = seconds["evaluation"]
    small = seconds["small_evaluation"]
    needed = seconds["predict"]["cpu"] + seconds["bootstrap"]["cpu"]
    small_rows = seconds["small_rows"]
    per_rows = (total["cpu"] - small["cpu"]) / needed
    return Figure(
        "evaluation_vs_scoring_ratio",
        total["cpu"] / needed,
        "ratio",
        "scoring the test rows once, plus the bootstrap",
        f"{seconds['rows']:,} test rows, candidate and champion, {seconds['gates']} gates and the mandatory "
        f"ones, figures, all logged to MLflow: {total['cpu']:.2f} s of CPU time; scoring "
        f"{seconds['predict']['cpu']:.2f} s, bootstrap {seconds['bootstrap']['cpu']:.2f} s, median of "
        f"{seconds['turns']}; on {small_rows:,} rows {small['cpu']:.2f} s, so {per_rows:.2f} times are for "
        f"the rows. In the isolated process {total['children']:.2f} s and {small['children']:.2f} s. Passed: "
        f"{total['wall']:.2f} s and {small['wall']:.2f} s",
    )
