"""The cost of batch scoring and of evaluation in multiples of the model's own predictions."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from statistics import median
from typing import TYPE_CHECKING, NamedTuple

from include.errors import ServiceUnavailable
from tests.bench.figures import Figure
from tests.bench.pairs import measure_pairs
from tests.bench.rig import BARE_CASE
from tests.bench.serving import serve_champion

if TYPE_CHECKING:
    from tests.bench.rig import Rig

BATCH_ROWS = 10_000_000
BATCH_PAIRS = 3


def batch_scoring_vs_model_ratio(_: Rig) -> Figure:
    """Compare rows a second from the lake to staged predictions with one call of the estimator's predict."""
    with tempfile.TemporaryDirectory() as folder:
        _run_batch("prepare", folder, BATCH_ROWS)
        pairs = measure_pairs(
            lambda: _run_batch("predict", folder, BATCH_ROWS),
            lambda: _run_batch("score", folder, BATCH_ROWS),
            BATCH_PAIRS,
        )
        check = _run_batch("check", folder, BATCH_ROWS)
        small = _run_batch("score", folder, BATCH_ROWS // 10)
    bare, scoring = (max(runs, key=lambda run: run.peak_mb) for runs in zip(*pairs, strict=True))
    return Figure(
        "batch_scoring_vs_model_ratio",
        median(predict.cpu / score.cpu for predict, score in pairs),
        "ratio",
        "rows per second of CPU time of the estimator's own predict in memory; at least 0.95",
        f"{BATCH_ROWS:,} rows: read, predicted and staged in {scoring.cpu:.1f} s of CPU time "
        f"({scoring.seconds:.0f} s), predict alone {bare.cpu:.1f} s ({bare.seconds:.0f} s); peak "
        f"memory {scoring.peak_mb:.0f} MB, with a tenth of the rows {small.peak_mb:.0f} MB, predict alone "
        f"{bare.peak_mb:.0f} MB; the check of the output {check.cpu:.1f} s",
    )


def drift_peak_memory_mb(_: Rig) -> Figure:
    """Measure the memory of a drift check over all rows of a window."""
    with tempfile.TemporaryDirectory() as folder:
        _run_batch("prepare", folder, BATCH_ROWS)
        run = _run_batch("drift", folder, BATCH_ROWS)
        small = _run_batch("drift", folder, BATCH_ROWS // 10)
    return Figure(
        "drift_peak_memory_mb",
        run.peak_mb,
        "MB",
        f"a window of {BATCH_ROWS:,} rows of the lake; at most 2,000",
        f"all rows against the training rows, and the page: {run.cpu:.1f} s of CPU time; with a tenth of the "
        f"rows {small.peak_mb:.0f} MB",
    )


class BatchRun(NamedTuple):
    """Seconds, CPU time in seconds and peak memory in MB of a process."""

    seconds: float
    cpu: float
    peak_mb: float


def _run_batch(verb: str, folder: str, n_rows: int) -> BatchRun:
    """Run a verb of `batches` in a process of its own."""
    command = [sys.executable, "-m", "tests.bench.batches", verb, folder, str(n_rows)]
    child = subprocess.run(command, capture_output=True, text=True, check=False)
    if child.returncode:
        raise ServiceUnavailable(f"{verb} failed: {child.stderr[-2000:]}")
    return BatchRun(*map(float, (child.stdout or "0 0 0").split()[-3:]))


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
