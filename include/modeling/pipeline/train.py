"""Training of a candidate: fit, package and log the one model of a run."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np

from include.certificates.certificate import model_digest
from include.data.snapshots.determination import require_undetermined
from include.errors import ConflictError
from include.modeling.packaging.package import save_package
from include.modeling.pipeline.decision import packaged_rule
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
from include.storage.progress import timed_step

if TYPE_CHECKING:
    from pathlib import Path

    import pandas as pd

    from include.data.snapshots.splits import Splits
    from include.modeling.registry.provenance import Provenance
    from include.modeling.registry.registry import ModelReference
    from include.modeling.training.fit import TrainedModel
    from include.modeling.training.learning_curve import LearningCurve


def train_candidate(
    workspace: Workspace, estimator: Any, frame: pd.DataFrame, *, run_id: str, provenance: Provenance
) -> TrainedCandidate:
    """
    Fit, package and log the one model of the run; a model that an earlier attempt logged is kept.

    Parameters
    ----------
    workspace
        Use case, registry and an empty folder.
    estimator
        Unfitted estimator.
    frame
        Rows of the snapshot.
    run_id
        MLflow run of the DAG run.
    provenance
        Snapshot, code and parameters that the model is made from.

    Raises
    ------
    ConflictError
        If the earlier attempt used other data, code or parameters.
    DataError
        If features hold the label.
    TrainingFailed
        If the estimator cannot be fitted, or its predictions are invalid.
    """
    logged = workspace.registry.logged_model(run_id)
    if logged is None:
        logged = _train_and_log(workspace, estimator, frame, run_id, provenance)
    if logged.tags.get("airworthy.inputs") != provenance.digest:
        raise ConflictError(
            f"The MLflow run {run_id} has a model already, of other data or code. "
            "Clear this task for a run of its own, or trigger a new DAG run."
        )
    return TrainedCandidate(workspace.use_case.name, run_id, logged.model_id, logged.digest)


def _train_and_log(
    workspace: Workspace, estimator: Any, frame: pd.DataFrame, run_id: str, provenance: Provenance
) -> ModelReference:
    use_case = workspace.use_case
    registry = workspace.registry
    package = workspace.workdir / "model"
    require_undetermined(use_case, frame)
    splits = split_snapshot(workspace.specification, frame)
    with measure_usage() as usage:
        trained, curve = _fit_and_package(workspace, estimator, splits, package)
    seen_rows = workspace.workdir / SEEN_ROWS
    np.save(seen_rows, row_identities(workspace.specification, splits.train, splits.validation))
    registry.log_file(run_id, seen_rows)
    metrics = trained.figures | usage.figures
    series = None
    if curve is not None:
        plot = workspace.workdir / CURVE
        plot.write_bytes(draw_learning_curve(curve, use_case.name))
        registry.log_file(run_id, plot)
        metrics |= curve.figures
        series = curve.series
    registry.log(
        run_id,
        params=_plain_parameters(trained.estimator),
        metrics=metrics,
        series=series,
        tags=provenance.tags | as_tags({"training.notes": "; ".join(trained.notes)}),
    )
    model_tags: dict[str, object] = {
        "use_case": use_case.name,
        "seeds": json.dumps(seeds(use_case, trained.estimator)),
    }
    if trained.iterations is not None:
        model_tags["iterations"] = trained.iterations
    return registry.log_model(
        run_id, package, digest=model_digest(package), tags=provenance.tags | as_tags(model_tags)
    )


def _fit_and_package(
    workspace: Workspace, estimator: Any, splits: Splits, package: Path
) -> tuple[TrainedModel, LearningCurve | None]:
    """Return the fitted candidate and its learning curve, and log how long a step takes that is long."""
    use_case = workspace.use_case
    with timed_step(f"{use_case.name}: fit on {len(splits.train):,} rows", 1, 3, "the training"):
        trained = fit_candidate(use_case, estimator, splits)
    with timed_step(f"{use_case.name}: learning curve", 2, 3, "the training"):
        curve = learning_curve(use_case, trained.estimator, splits.train, splits.validation)
    with timed_step(f"{use_case.name}: package", 3, 3, "the training"):
        save_package(
            trained.estimator,
            use_case,
            splits.train,
            package,
            kinds=workspace.kinds,
            decision=packaged_rule(use_case, trained.estimator, splits),
            test_frame=splits.test,
        )
    return trained, curve


def _plain_parameters(estimator: Any) -> dict[str, object]:
    """Return the parameters of an estimator that are plain values; a class of one's own may have none."""
    plain_types = (bool, int, float, str, type(None))
    parameters = estimator.get_params() if hasattr(estimator, "get_params") else {}
    return {name: value for name, value in parameters.items() if isinstance(value, plain_types)}
