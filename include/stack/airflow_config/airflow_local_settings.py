"""
Preload of modules: Airflow imports this module when it starts.

The executor forks a process for each task, so heavy libraries that it has imported cost the tasks nothing.
The DAG processor forks a process for each DAG file; they share operators and the classes of declarations, and
import them again after a file was changed. Declarations are not preloaded: they are code of teams, which runs
only in forks.
"""

from __future__ import annotations

import sys
from contextlib import suppress
from importlib import import_module
from pkgutil import iter_modules

# No name of this module is a setting of Airflow.
__all__: list[str] = []

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

# The scheduler forks the tasks of the LocalExecutor, the worker those of the CeleryExecutor.
if {"scheduler", "worker"} & set(sys.argv):
    for library in LIBRARIES:
        import_module(library)

if "dag-processor" in sys.argv:
    from airworthy import operators, sensors
    from include.module_files import preload

    modules = ["airworthy.defaults", "airworthy.timetables", "include.catalog"]
    modules += [module.name for module in iter_modules(operators.__path__, "airworthy.operators.")]
    modules += [module.name for module in iter_modules(sensors.__path__, "airworthy.sensors.")]
    preload(modules, packages=("airworthy", "include"))
    # What this reads of the texts of use cases is kept until they change.
    with suppress(Exception):
        from include.declarations.data.files import declaring_files

        declaring_files("include", "datasets", "DATASET")
