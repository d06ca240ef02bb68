"""The life of a version in MLflow, as short calls."""

from __future__ import annotations

import mlflow

from include.certificates.certificate import model_digest


def tags(run="manual__2013-07-01", **more):
    return {"airworthy.dag": "training", "airworthy.run": run, "airworthy.partition": "2013-07-01", **more}


def whole_life(registry, use_case, folder):
    """Return run, model and version, made once whoever else tries."""
    run_id = registry.run_for(use_case, tags())
    logged = registry.log_model(run_id, folder, digest=model_digest(folder), tags={"airworthy.inputs": "x"})
    return run_id, logged.model_id, registry.register(use_case, run_id, logged, {})


def made(client, use_case):
    """Count the runs, models and versions there are, deleted ones too."""
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
