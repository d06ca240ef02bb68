from __future__ import annotations

import os
import signal
import socket
from datetime import date

import psutil
import pytest

from include.credentials import load_credentials
from include.stack.embedded import processes
from include.stack.embedded.programs import PROGRAMS, postgres
from include.stack.embedded.supervision import Supervisor
from tests.conftest import wait_until

pytestmark = [pytest.mark.system, pytest.mark.timeout(600)]


def marked(stack, program=None) -> list[psutil.Process]:
    return processes.find_processes(stack.root, program)


def test_status_shows_every_program_at_work(stack, stack_command):
    wait_until(lambda: stack_command("status").returncode == 0, 60, "every program at work")
    shown = stack_command("status").stdout
    assert shown.count("works") == len(PROGRAMS), shown


def test_a_second_up_does_nothing_and_says_so(stack, stack_command):
    before = {name: state.pid for name, state in Supervisor(stack).states().items()}
    again = stack_command("up")
    assert again.returncode == 0
    assert "already up" in again.stdout
    assert {name: state.pid for name, state in Supervisor(stack).states().items()} == before


def test_everything_listens_on_the_loopback_only(stack):
    pids = {process.pid for process in marked(stack)} | {postgres(stack).pid}
    found = {
        connection.laddr.ip
        for connection in psutil.net_connections("inet")
        if connection.pid in pids and connection.status == psutil.CONN_LISTEN
    }
    assert found == {"127.0.0.1"}


def test_no_secret_stands_on_a_command_line_or_in_a_log(stack):
    credentials = load_credentials(stack.root)
    secrets = [getattr(credentials, name) for name in credentials.__slots__]
    lines = [" ".join(process.cmdline()) for process in marked(stack)]
    logs = [log.read_text(errors="replace") for log in (stack.root / "logs").glob("*.log")]
    assert lines
    assert logs
    assert not [secret for secret in secrets for text in lines + logs if secret in text]


def test_a_task_finds_the_libraries_imported_the_connections_and_no_stray_thread(airflow, stack):
    run = airflow.trigger("probe")
    assert airflow.wait("probe", run, 120) == "success"
    found = airflow.xcom("probe", run, "look")
    assert found["warm"] == ["evidently", "great_expectations", "mlflow", "sklearn"]
    assert found["native_threads"] == found["threads"] == 1
    assert (found["mlflow"], found["lake"]) == (stack.mlflow_uri, stack.lake_uri)
    assert found["home"] == str(stack.root)
    assert "the probe was here" in airflow.log("probe", run, "look")


def test_a_backfill_runs_one_partition_a_day(airflow):
    backfill = airflow.backfill("probe_daily", date(2013, 1, 3), date(2013, 1, 5))
    wait_until(lambda: airflow.backfill_done(backfill), 180, "the backfill")
    runs = [run for run in airflow.runs("probe_daily") if run["run_type"] == "backfill"]
    assert sorted(run["partition_key"][:10] for run in runs) == ["2013-01-03", "2013-01-04", "2013-01-05"]
    assert {run["state"] for run in runs} == {"success"}


def test_nothing_is_wrong_with_the_dags(airflow):
    assert airflow.import_errors() == []


def test_a_value_that_no_task_pushed_is_none(airflow):
    run = airflow.trigger("probe")
    airflow.wait("probe", run, 120)
    assert airflow.xcom("probe", run, "look", "no-such-key") is None


@pytest.mark.parametrize("name", ["haproxy", "mlflow"])
def test_what_is_killed_comes_back(stack, stack_command, name):
    before = Supervisor(stack).states()[name].pid
    os.kill(before, signal.SIGKILL)
    wait_until(lambda: Supervisor(stack).states()[name].pid not in (0, before), 60, f"{name}'s return")
    wait_until(lambda: stack_command("status").returncode == 0, 120, "everything at work again")


def test_a_killed_scheduler_leaves_no_worker_and_its_task_is_tried_again(airflow, stack):
    run = airflow.trigger("probe_slow")
    wait_until(
        lambda: airflow.task_instances("probe_slow", run)[0]["state"] == "running", 120, "the first try"
    )
    old = marked(stack, "scheduler")
    os.kill(Supervisor(stack).states()["scheduler"].pid, signal.SIGKILL)
    wait_until(lambda: not any(process.is_running() for process in old), 60, "the end of the old workers")
    assert airflow.wait("probe_slow", run, 240) == "success"
    assert airflow.xcom("probe_slow", run, "wait") > 1


def test_down_leaves_nothing_even_when_the_supervisor_was_killed(stack, stack_command):
    everything = [*marked(stack), psutil.Process(postgres(stack).pid)]
    supervisor = next(process for process in everything if "supervisor.supervisord" in process.cmdline())
    supervisor.kill()
    assert stack_command("down").returncode == 0
    assert marked(stack) == []
    assert not [process for process in everything if process.is_running()]
    for port in stack.ports.values():
        socket.create_server(("127.0.0.1", port)).close()
    assert stack_command("status").returncode == 3


def test_a_stack_that_was_killed_comes_up_again_with_its_data(stack, stack_command, airflow):
    dags = {"AIRFLOW__CORE__DAGS_FOLDER": str(stack.root / "dags")}
    again = stack_command("up", **dags)
    assert again.returncode == 0, again.stdout
    assert airflow.runs("probe")
