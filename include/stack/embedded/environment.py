"""The environment variables of each program: what it needs, and no secret of another program."""

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
# Every process of a stack has the stack's home in this variable,
STACK_MARK = "AIRWORTHY_STACK_ID"
# and the name of the program that it belongs to in this one.
PROGRAM_MARK = "AIRWORTHY_PROGRAM"

QUIET = {
    "DO_NOT_TRACK": "true",
    "GX_ANALYTICS_ENABLED": "false",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    # With multipart transfers clients would need access to the store of MLflow's files.
    "MLFLOW_ENABLE_PROXY_MULTIPART_DOWNLOAD": "false",
    "MLFLOW_ENABLE_PROXY_MULTIPART_UPLOAD": "false",
    # 3 retries take 12 s; then Airflow tries the task again. The default of 7 blocks it for minutes.
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "3",
    "SCARF_ANALYTICS": "false",
    # Otherwise setproctitle overwrites the marks.
    "SPT_NOENV": "1",
    "PYTHONUNBUFFERED": "1",
    "GIT_PYTHON_REFRESH": "quiet",
}
# The caller's environment overrides these. They were measured on two cores, with short tasks.
TUNING = {
    # Spinning threads made a fit of 2 s take 60 s beside other work.
    "OMP_WAIT_POLICY": "PASSIVE",
    "AIRFLOW__CORE__DAGS_FOLDER": str(REPOSITORY / "dags"),
    "AIRFLOW__CORE__PARALLELISM": "4",
    "AIRFLOW__CORE__DAGS_ARE_PAUSED_AT_CREATION": "false",
    "AIRFLOW__CORE__HOSTNAME_CALLABLE": "socket.gethostname",
    "AIRFLOW__CORE__MIN_SERIALIZED_DAG_UPDATE_INTERVAL": "5",
    "AIRFLOW__SCHEDULER__SCHEDULER_IDLE_SLEEP_TIME": "0.1",
    "AIRFLOW__SCHEDULER__ORPHANED_TASKS_CHECK_INTERVAL": "30",
    "AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT": "60",
    # A slot may stay taken this long after the end of its task.
    "AIRFLOW__WORKERS__MIN_HEARTBEAT_INTERVAL": "1",
    "AIRFLOW__DAG_PROCESSOR__REFRESH_INTERVAL": "10",
    "AIRFLOW__DAG_PROCESSOR__PARSING_PROCESSES": "2",
    "AIRFLOW__LOGGING__COLORED_CONSOLE_LOG": "false",
    # No thread may run before the executor forks, and four tasks share two cores.
    "OPENBLAS_NUM_THREADS": "1",
}


def environment_of(kind: Kind, settings: Settings, credentials: Credentials) -> dict[str, str]:
    """Return the variables of a program of this kind, which are added to the caller's environment."""
    common = QUIET | shared(settings)
    if kind == "database":
        return common
    if kind == "mlflow":
        return common | _mlflow_variables(settings, credentials)
    platform = common | {"AIRWORTHY_DATABASE_URL": database_url("airworthy", settings, credentials)}
    if kind == "airworthy":
        return platform
    return platform | _airflow_variables(settings, credentials)


def shared(settings: Settings) -> dict[str, str]:
    """Return the settings as variables, without secrets, so that every process has the same settings."""
    ports = {name: str(port) for name, port in settings.ports.items()}
    variables = ports | {
        "AIRWORTHY_HOME": str(settings.root),
        "AIRWORTHY_ENV": settings.env,
        "AIRWORTHY_MLFLOW_URI": settings.mlflow_uri,
        "AIRWORTHY_LAKE_URI": settings.lake_uri,
        "AIRWORTHY_LANDING_URI": settings.landing_uri,
        "AIRWORTHY_ARTIFACTS_URI": settings.artifacts_uri,
        "AIRWORTHY_GATEWAY_URI": settings.gateway_uri,
        "AIRWORTHY_FEATURES_URI": settings.features_uri,
        "AIRWORTHY_AIRFLOW_PUBLIC_URI": settings.airflow_public_uri,
        "AIRWORTHY_MLFLOW_PUBLIC_URI": settings.mlflow_public_uri,
        "AIRWORTHY_GATEWAY_PUBLIC_URI": settings.gateway_public_uri,
    }
    path = [REPOSITORY, REPOSITORY / "plugins", REPOSITORY / "include" / "stack" / "airflow_config"]
    return variables | {"PYTHONPATH": os.pathsep.join(map(str, path))}


def database_url(role: str, settings: Settings, credentials: Credentials) -> str:
    """Return the address of a role's database, with the role's password."""
    server = Postgres(settings.root / "postgres", settings.postgres_port)
    password: str = getattr(credentials, f"{role}_password")
    return server.url(role, role, password).render_as_string(hide_password=False)


def _mlflow_variables(settings: Settings, credentials: Credentials) -> dict[str, str]:
    return {
        "MLFLOW_BACKEND_STORE_URI": database_url("mlflow", settings, credentials),
        # Job execution starts 30 more processes.
        "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
    }


def _airflow_variables(settings: Settings, credentials: Credentials) -> dict[str, str]:
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
        "AIRFLOW__API__BASE_URL": settings.airflow_public_uri,
        "AIRFLOW__API__WORKERS": "1",
        "AIRFLOW__API__SECRET_KEY": credentials.api_secret_key,
        "AIRFLOW__API_AUTH__JWT_SECRET": credentials.jwt_secret,
    }
