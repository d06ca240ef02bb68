"""
Airflow reads this at its start: what forks the tasks imports the heavy libraries once, for all of them.

Only libraries, never the project's own modules: each task reads those afresh, so an edit counts at once.
"""

from __future__ import annotations

import sys
from importlib import import_module

__all__: list[str] = []  # nothing here is a setting of Airflow

LIBRARIES = (
    "airflow.dag_processing.dagbag",
    "airflow.sdk.definitions.retry_policy",
    "airflow.sdk.execution_time.cache",
    "airflow.sdk.execution_time.supervisor",
    "airflow.providers.amazon.aws.assets.s3",
    "airflow.providers.common.io.assets.file",
    "airflow.providers.postgres.assets.postgres",
    "airflow.providers.standard.operators.empty",
    "airflow.providers.standard.operators.hitl",
    "asgiref.sync",
    "jinja2.ext",
    "pydantic_settings",
    "slugify",
    "tabulate",
    "pandas",
    "pandas.core.arrays.arrow._arrow_utils",
    "pyarrow.dataset",
    "pyarrow.parquet",
    "deltalake",
    "deltalake.fs",
    "scipy.stats",
    "sklearn.compose",
    "sklearn.ensemble",
    "sklearn.linear_model",
    "sklearn.pipeline",
    "sklearn.preprocessing",
    "cloudpickle",
    "fairlearn.metrics",
    "matplotlib.backends.backend_agg",
    "matplotlib.figure",
    "mlflow",
    "mlflow.sklearn",
    "mlflow.pyfunc",
    "mlflow.tracking.request_header.registry",
    "great_expectations",
    "great_expectations.expectations",
    "evidently",
    "evidently.presets",
    "feast",
    "feast.infra.offline_stores.file_source",
    "feast.infra.online_stores.postgres_online_store.postgres",
    "feast.infra.registry.sql",
    "psycopg2",
    "skops.io",
    "sqlalchemy.dialects.postgresql",
)

if {"scheduler", "worker"} & set(sys.argv):  # LocalExecutor, CeleryExecutor
    for library in LIBRARIES:
        import_module(library)
