"""DAGs for the tests of the stack: a task's process, one run a day, a killed task, a missed deadline."""

from __future__ import annotations

from datetime import timedelta

import pendulum

from airflow.sdk import CronPartitionTimetable, dag, task

from airworthy.failures import alert_after

START = pendulum.datetime(2013, 1, 1, tz="UTC")


@dag(schedule=None, start_date=START)
def probe():
    """Push the modules, threads and connections of the process, and print a line."""

    @task
    def look() -> dict[str, object]:
        import os
        import sys
        import threading

        from airflow.sdk import BaseHook

        print("the probe was here")  # noqa: T201
        return {
            "warm": sorted({"mlflow", "great_expectations", "evidently", "sklearn"} & set(sys.modules)),
            "threads": threading.active_count(),
            "native_threads": len(os.listdir("/proc/self/task")),  # noqa: PTH208
            "mlflow": BaseHook.get_connection("mlflow_default").host,
            "lake": BaseHook.get_connection("lake_default").extra_dejson["lake_uri"],
            "home": os.environ["AIRWORTHY_HOME"],
        }

    look()


@dag(
    schedule=CronPartitionTimetable("0 0 * * *", timezone="UTC"),
    start_date=START,
    end_date=START.add(days=30),
    catchup=False,
)
def probe_daily():
    """Echo the partition."""

    @task
    def echo(dag_run=None) -> str | None:
        return dag_run.partition_key

    echo()


@dag(schedule=None, start_date=START)
def probe_slow():
    """Run in the first try until the worker is killed."""

    @task(retries=3, retry_delay=0)
    def wait(ti=None) -> int:
        import threading

        if ti.try_number == 1:
            threading.Event().wait(600)
        return ti.try_number

    wait()


@dag(schedule=None, start_date=START, deadline=alert_after(timedelta(seconds=1)))
def probe_late():
    """Run until there is the file `end` in the home."""

    @task
    def wait() -> None:
        import os
        import time
        from pathlib import Path

        while not (Path(os.environ["AIRWORTHY_HOME"]) / "end").exists():
            time.sleep(0.2)

    wait()


probe()
probe_daily()
probe_slow()
probe_late()
