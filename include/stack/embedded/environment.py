"""Which variables each program of the stack sees: what it needs, and no other program's secrets."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from include.credentials import Credentials, password_file
from include.stack.embedded.postgres import Postgres

if TYPE_CHECKING:
    from include.settings import Settings

Kind = Literal["database", "mlflow", "airflow", "airworthy"]

REPOSITORY = Path(__file__).parents[3]
STACK_MARK = "AIRWORTHY_STACK_ID"  # every process of a stack carries its home in this variable,
PROGRAM_MARK = "AIRWORTHY_PROGRAM"  # and the name of the program it belongs to in this one

QUIET = {
    "DO_NOT_TRACK": "true",
    "GX_ANALYTICS_ENABLED": "false",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    "MLFLOW_ENABLE_PROXY_MULTIPART_DOWNLOAD": "false",  # else clients go past MLflow to the store
    "MLFLOW_ENABLE_PROXY_MULTIPART_UPLOAD": "false",  # of its files, which they need not reach
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "3",  # 12 s, then the task is tried again; seven hold it for minutes
    "SCARF_ANALYTICS": "false",
    "SPT_NOENV": "1",  # setproctitle would write over the marks
    "PYTHONUNBUFFERED": "1",
    "GIT_PYTHON_REFRESH": "quiet",
}
# Yours to override from outside: measured on two cores, for short tasks and a person who watches.
TUNING = {
    "OMP_WAIT_POLICY": "PASSIVE",  # spinning threads made a fit of 2 s take 60 s beside other work
    "AIRFLOW__CORE__DAGS_FOLDER": str(REPOSITORY / "dags"),
    "AIRFLOW__CORE__PARALLELISM": "4",
    "AIRFLOW__CORE__DAGS_ARE_PAUSED_AT_CREATION": "false",
    "AIRFLOW__CORE__HOSTNAME_CALLABLE": "socket.gethostname",
    "AIRFLOW__CORE__MIN_SERIALIZED_DAG_UPDATE_INTERVAL": "5",
    "AIRFLOW__SCHEDULER__SCHEDULER_IDLE_SLEEP_TIME": "0.1",
    "AIRFLOW__SCHEDULER__ORPHANED_TASKS_CHECK_INTERVAL": "30",
    "AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT": "60",
    "AIRFLOW__WORKERS__MIN_HEARTBEAT_INTERVAL": "1",  # as long as a slot may stay taken after its task
    "AIRFLOW__DAG_PROCESSOR__REFRESH_INTERVAL": "10",
    "AIRFLOW__DAG_PROCESSOR__PARSING_PROCESSES": "2",
    "AIRFLOW__LOGGING__COLORED_CONSOLE_LOG": "false",
    "OPENBLAS_NUM_THREADS": "1",  # no thread before the executor forks, and four tasks share two cores
}


def environment_of(kind: Kind, settings: Settings, credentials: Credentials) -> dict[str, str]:
    """Return what a program of this kind sees beyond the caller's environment."""
    common = QUIET | shared(settings)
    if kind == "database":
        return common
    if kind == "mlflow":
        return common | _mlflow(settings, credentials)
    platform = common | {"AIRWORTHY_DATABASE_URL": database_url("airworthy", settings, credentials)}
    return platform if kind == "airworthy" else platform | _airflow(settings, credentials)


def shared(settings: Settings) -> dict[str, str]:
    """Return the settings as variables, without a secret, so that every process agrees on them."""
    low, high = settings.model_server_ports
    variables = {name: str(port) for name, port in settings.ports.items()} | {
        "AIRWORTHY_HOME": str(settings.root),
        "AIRWORTHY_ENV": settings.env,
        "AIRWORTHY_MODEL_SERVER_PORTS": f"[{low}, {high}]",
        "AIRWORTHY_MLFLOW_URI": settings.mlflow_uri,
        "AIRWORTHY_LAKE_URI": settings.lake_uri,
        "AIRWORTHY_LANDING_URI": settings.landing_uri,
        "AIRWORTHY_ARTIFACTS_URI": settings.artifacts_uri,
        "AIRWORTHY_GATEWAY_URI": settings.gateway_uri,
        "AIRWORTHY_FEATURES_URI": settings.features_uri,
    }
    path = [REPOSITORY, REPOSITORY / "plugins", REPOSITORY / "include" / "stack" / "airflow_config"]
    return variables | {"PYTHONPATH": os.pathsep.join(map(str, path))}


def database_url(role: str, settings: Settings, credentials: Credentials) -> str:
    """Return the address of a role's own database, with its password."""
    server = Postgres(settings.root / "postgres", settings.postgres_port)
    password: str = getattr(credentials, f"{role}_password")
    return server.url(role, role, password).render_as_string(hide_password=False)


def _mlflow(settings: Settings, credentials: Credentials) -> dict[str, str]:
    return {
        "MLFLOW_BACKEND_STORE_URI": database_url("mlflow", settings, credentials),
        "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",  # thirty processes fewer
    }


def _airflow(settings: Settings, credentials: Credentials) -> dict[str, str]:
    tuning = {name: os.environ.get(name, value) for name, value in TUNING.items()}
    return tuning | {
        "AIRFLOW_HOME": str(settings.root / "airflow"),
        "AIRFLOW__CORE__EXECUTOR": "LocalExecutor",
        "AIRFLOW__CORE__PLUGINS_FOLDER": str(REPOSITORY / "plugins"),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "false",
        "AIRFLOW__CORE__FERNET_KEY": credentials.fernet_key,
        "AIRFLOW__CORE__EXECUTION_API_SERVER_URL": f"{settings.airflow_uri}/execution/",
        "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_USERS": "admin:admin",
        "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_PASSWORDS_FILE": str(password_file(settings.root)),
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": database_url("airflow", settings, credentials),
        "AIRFLOW__API__HOST": "127.0.0.1",
        "AIRFLOW__API__PORT": str(settings.airflow_port),
        "AIRFLOW__API__BASE_URL": settings.airflow_uri,
        "AIRFLOW__API__WORKERS": "1",
        "AIRFLOW__API__SECRET_KEY": credentials.api_secret_key,
        "AIRFLOW__API_AUTH__JWT_SECRET": credentials.jwt_secret,
    }
