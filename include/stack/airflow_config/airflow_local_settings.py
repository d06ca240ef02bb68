"""
Preload of modules: Airflow imports this module when it starts.

The executor forks a process for each task, so heavy libraries, operators and the core that it has imported
cost the tasks nothing. The DAG processor forks a process for each DAG file; they share operators and the
classes of declarations. A fork imports our modules again after a file was changed. Declarations
are not preloaded: they are code of teams, which runs only in forks.
"""

from __future__ import annotations

import sys
import warnings
from contextlib import suppress
from importlib import import_module
from pkgutil import iter_modules, walk_packages

# Airflow calls pathspec so in each task: the line in the log is not about the task.
warnings.filterwarnings("ignore", message="GitWildMatchPattern")

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

# What tasks import when they execute; those modules import no declaration.
TASK_PACKAGES = ("include.data", "include.modeling", "include.monitoring", "include.release")
# Servers, which no task runs.
NOT_IN_TASKS = ("include.data.feature_store.server",)
CHANGEABLE = ("airworthy", "include")


def operator_modules() -> list[str]:
    """Return the modules that DAG files import."""
    from airworthy import operators, sensors

    modules = ["airworthy.defaults", "airworthy.timetables", "include.catalog"]
    modules += [module.name for module in iter_modules(operators.__path__, "airworthy.operators.")]
    return modules + [module.name for module in iter_modules(sensors.__path__, "airworthy.sensors.")]


def task_modules() -> list[str]:
    """Return the modules of the core that tasks import."""
    modules: list[str] = []
    for name in TASK_PACKAGES:
        # A package that cannot be imported is left to the tasks, which report the error.
        with suppress(Exception):
            package = import_module(name)
            walked = walk_packages(package.__path__, f"{name}.", onerror=lambda _: None)
            modules += [module.name for module in walked if module.name not in NOT_IN_TASKS]
    return modules


# The scheduler forks the tasks of the LocalExecutor, the worker those of the CeleryExecutor.
if {"scheduler", "worker"} & set(sys.argv):
    for library in LIBRARIES:
        import_module(library)

    from include.module_files import preload

    preload([*operator_modules(), *task_modules()], packages=CHANGEABLE)

if "dag-processor" in sys.argv:
    from include.module_files import preload

    preload(operator_modules(), packages=CHANGEABLE)
    # What this reads of the texts of use cases is kept until they change.
    with suppress(Exception):
        from include.declarations.data.files import declaring_files

        declaring_files("include", "datasets", "DATASET")
