"""The programs of the embedded stack: start, status, restart after a kill, and stop."""

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
from tests.webhook import receive_posts

pytestmark = [pytest.mark.system, pytest.mark.timeout(1200)]


def list_processes(stack, program=None) -> list[psutil.Process]:
    return processes.find_processes(stack.root, program)


def test_status_reports_that_every_program_works(stack, stack_command):
    wait_until(lambda: stack_command("status").returncode == 0, 180, "every program to work")
    shown = stack_command("status").stdout
    assert shown.count("works") == len(PROGRAMS), shown


def test_second_up_changes_nothing(stack, stack_command):
    before = {name: state.pid for name, state in Supervisor(stack).states().items()}
    process = stack_command("up")
    assert process.returncode == 0
    assert "already up" in process.stdout
    assert {name: state.pid for name, state in Supervisor(stack).states().items()} == before


def test_programs_listen_on_the_loopback_only(stack):
    pids = {process.pid for process in list_processes(stack)} | {postgres(stack).pid}
    addresses = {
        connection.laddr.ip
        for connection in psutil.net_connections("inet")
        if connection.pid in pids and connection.status == psutil.CONN_LISTEN
    }
    assert addresses == {"127.0.0.1"}


def test_command_lines_and_logs_contain_no_secret(stack):
    credentials = load_credentials(stack.root)
    secrets = [getattr(credentials, name) for name in credentials.__slots__]
    lines = [" ".join(process.cmdline()) for process in list_processes(stack)]
    logs = [log.read_text(errors="replace") for log in (stack.root / "logs").glob("*.log")]
    assert lines
    assert logs
    text = "\n".join(lines + logs)
    assert not [secret for secret in secrets if secret in text]


@pytest.fixture(scope="module")
def probe_run(airflow):
    run = airflow.trigger("probe")
    assert airflow.wait("probe", run, 240) == "success"
    return run


def test_task_has_imports_and_connections_and_one_thread(airflow, stack, probe_run):
    pushed = airflow.xcom("probe", probe_run, "look")
    assert pushed["warm"] == ["evidently", "great_expectations", "mlflow", "sklearn"]
    assert pushed["native_threads"] == pushed["threads"] == 1
    assert (pushed["mlflow"], pushed["lake"]) == (stack.mlflow_uri, stack.lake_uri)
    assert pushed["home"] == str(stack.root)
    assert "the probe was here" in airflow.log("probe", probe_run, "look")


def test_backfill_runs_one_partition_a_day(airflow):
    backfill = airflow.backfill("probe_daily", date(2013, 1, 3), date(2013, 1, 5))
    wait_until(lambda: airflow.backfill_done(backfill), 180, "the backfill")
    runs = [run for run in airflow.runs("probe_daily") if run["run_type"] == "backfill"]
    assert sorted(run["partition_key"][:10] for run in runs) == ["2013-01-03", "2013-01-04", "2013-01-05"]
    assert {run["state"] for run in runs} == {"success"}


def test_dags_have_no_import_errors(airflow):
    assert airflow.import_errors() == []


def test_xcom_that_was_not_pushed_is_none(airflow, probe_run):
    assert airflow.xcom("probe", probe_run, "look", "no-such-key") is None


@pytest.fixture
def read_alerts(airflow):
    """Return a function that runs the DAG `alerts` and returns all messages about `probe_late` so far."""
    with receive_posts() as (port, messages):
        host = {"conn_type": "http", "host": "http://127.0.0.1", "port": port}
        airflow.post("/connections", {"connection_id": "pager"} | host)

        def run_and_read():
            assert airflow.wait("alerts", airflow.trigger("alerts"), 240) == "success"
            return [message for _, message in messages if "probe_late" in message["title"]]

        yield run_and_read


def test_missed_deadline_is_told_once_and_when_it_is_over(airflow, stack, read_alerts):
    runs = [airflow.trigger("probe_late") for _ in range(2)]
    wait_until(read_alerts, 240, "the alert")
    assert len(read_alerts()) == 1
    (stack.root / "end").touch()
    assert {airflow.wait("probe_late", run, 240) for run in runs} == {"success"}
    opened, resolved = read_alerts()
    assert (opened["status"], resolved["status"]) == ("open", "resolved")
    (incident,) = opened["began"]
    assert (incident["kind"], incident["subject"]) == ("long_run", "probe_late")
    assert "has not ended by its deadline" in incident["reason"]
    assert incident["link"].startswith(f"{stack.airflow_public_uri}/dags/probe_late/runs/")
    assert incident["runbook"].endswith("/docs/runbooks/index.md")


@pytest.mark.parametrize("name", ["haproxy", "mlflow"])
def test_killed_program_is_restarted(stack, stack_command, name):
    before = Supervisor(stack).states()[name].pid
    os.kill(before, signal.SIGKILL)
    wait_until(
        lambda: Supervisor(stack).states()[name].pid not in (0, before), 180, f"a new process of {name}"
    )
    wait_until(lambda: stack_command("status").returncode == 0, 300, "every program to work again")


def test_task_of_a_killed_scheduler_is_retried(airflow, stack):
    run = airflow.trigger("probe_slow")
    wait_until(
        lambda: airflow.task_instances("probe_slow", run)[0]["state"] == "running", 240, "the first try"
    )
    processes_before = list_processes(stack, "scheduler")
    os.kill(Supervisor(stack).states()["scheduler"].pid, signal.SIGKILL)
    wait_until(
        lambda: not any(process.is_running() for process in processes_before),
        180,
        "the end of the old workers",
    )
    assert airflow.wait("probe_slow", run, 600) == "success"
    assert airflow.xcom("probe_slow", run, "wait") > 1


def test_down_ends_all_processes_of_a_killed_supervisor(stack, stack_command):
    started = [*list_processes(stack), psutil.Process(postgres(stack).pid)]
    supervisor = next(process for process in started if "supervisor.supervisord" in process.cmdline())
    supervisor.kill()
    assert stack_command("down").returncode == 0
    assert list_processes(stack) == []
    assert not [process for process in started if process.is_running()]
    for port in stack.ports.values():
        socket.create_server(("127.0.0.1", port)).close()
    assert stack_command("status").returncode == 3


def test_killed_stack_starts_again_with_its_data(stack, stack_command, airflow):
    dags = {"AIRFLOW__CORE__DAGS_FOLDER": str(stack.root / "dags")}
    process = stack_command("up", **dags)
    assert process.returncode == 0, process.stdout
    assert airflow.runs("probe")
