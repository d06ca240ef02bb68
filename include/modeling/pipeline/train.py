"""Train a candidate and measure it; each step may be tried again and hands on references only."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np

from include.errors import ConflictError
from include.modeling.packaging import package
from include.modeling.pipeline.workspace import (
    CURVE,
    SEEN_ROWS,
    TrainedCandidate,
    Workspace,
    row_identities,
    split_snapshot,
)
from include.modeling.registry.registry import as_tags
from include.modeling.training.estimator import seeds
from include.modeling.training.fit import fit_candidate
from include.modeling.training.learning_curve import draw_learning_curve, learning_curve
from include.modeling.training.resource_usage import measure_usage

if TYPE_CHECKING:
    import pandas as pd

    from include.modeling.registry.provenance import Provenance


def train_candidate(
    site: Workspace, estimator: Any, frame: pd.DataFrame, *, run_id: str, provenance: Provenance
) -> TrainedCandidate:
    """
    Fit, package and log the one model of the run; what an earlier attempt logged completely is kept.

    :raises ConflictError: if the earlier attempt trained on other data, or other code
    """
    use_case, registry = site.use_case, site.registry
    logged = registry.logged_model(run_id)
    if logged is None:
        splits = split_snapshot(use_case, frame)
        with measure_usage() as usage:
            trained = fit_candidate(use_case, estimator, splits)
            curve = learning_curve(use_case, trained.estimator, splits.train, splits.validation)
            folder = site.workdir / "model"
            package.save_package(trained.estimator, use_case, splits.train, folder)
        np.save(site.workdir / SEEN_ROWS, row_identities(use_case, splits.train, splits.validation))
        registry.log_file(run_id, site.workdir / SEEN_ROWS)
        if curve is not None:
            (site.workdir / CURVE).write_bytes(draw_learning_curve(curve, use_case.name))
            registry.log_file(run_id, site.workdir / CURVE)
        registry.log(
            run_id,
            params=_parameters(trained.estimator),
            metrics=trained.figures | usage.figures | (curve.figures if curve else {}),
            series=curve.series if curve else None,
            tags=provenance.tags | as_tags({"training.notes": "; ".join(trained.notes)}),
        )
        chance = json.dumps(seeds(use_case, trained.estimator))
        tags = provenance.tags | as_tags({"use_case": use_case.name, "seeds": chance})
        logged = registry.log_model(run_id, folder, digest=package.model_digest(folder), tags=tags)
    if logged.tags.get("airworthy.inputs") != provenance.digest:
        raise ConflictError(
            f"The MLflow run {run_id} has a model already, of other data or code. "
            "Clear this task for a run of its own, or trigger a new DAG run."
        )
    return TrainedCandidate(use_case.name, run_id, logged.model_id, logged.digest)


def _parameters(estimator: Any) -> dict[str, object]:
    plain = (bool, int, float, str, type(None))
    return {name: value for name, value in estimator.get_params().items() if isinstance(value, plain)}
