"""Steps that create a run, a model and a version in MLflow."""

from __future__ import annotations

import mlflow

from include.certificates.certificate import model_digest


def tags(run="manual__2013-07-01", **more):
    return {"airworthy.dag": "training", "airworthy.run": run, "airworthy.partition": "2013-07-01", **more}


def create_version(registry, use_case, folder):
    """Create run, model and version, each once for all callers; return their ids."""
    run_id = registry.run_for(use_case, tags())
    logged = registry.log_model(run_id, folder, digest=model_digest(folder), tags={"airworthy.inputs": "x"})
    return run_id, logged.model_id, registry.register(use_case, run_id, logged, {})


def count_objects(client, use_case):
    """Return the numbers of runs (deleted ones too), models and versions."""
    experiment = client.get_experiment_by_name(use_case)
    if experiment is None:
        return 0, 0, 0
    ids = [experiment.experiment_id]
    runs = client.search_runs(ids, run_view_type=mlflow.entities.ViewType.ALL)
    return (
        len(runs),
        len(client.search_logged_models(ids)),
        len(client.search_model_versions(f"name='{use_case}'")),
    )
