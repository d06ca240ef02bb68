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
    """Compare a whole evaluation with all gates with scoring its test rows once, plus the bootstrap."""
    served(rig)
    found = rig.bare.ask("evaluation", use_case=BARE_CASE)
    needed = found["scoring"] + found["bootstrap"]
    return Figure(
        "evaluation_vs_scoring_ratio",
        found["ours"] / needed,
        "ratio",
        "scoring the test rows once, plus the bootstrap",
        f"{found['rows']:,} test rows, candidate and champion, {found['gates']} gates and those that stand, "
        f"pictures, all kept in MLflow: {found['ours']:.2f} s; scoring {found['scoring']:.2f} s, bootstrap "
        f"{found['bootstrap']:.2f} s, median of {found['turns']}; on {found['few']:,} rows it takes "
        f"{found['fixed']:.2f} s, so {(found['ours'] - found['fixed']) / needed:.2f} times are for the rows",
    )
