"""
List the questions that wait for a person with Airflow's Python client, and answer one.

`python approvals.py` lists them; `python approvals.py DAG_ID RUN_ID TASK_ID Approve` answers. An answer has
the rights of the user who logs in: who may approve a release, and who may not, is declared in `Rollout`.
"""

from __future__ import annotations

import sys

import airflow_client.client as airflow
from airflow_client.client.api.task_instance_api import TaskInstanceApi
from run_dag import open_client

ALL = "~"
NOT_MAPPED = -1


def main() -> None:
    """List the questions, or answer the one that the command line names."""
    with open_client() as client:
        questions = TaskInstanceApi(client)
        if len(sys.argv) > 1:
            dag_id, run_id, task_id, answer = sys.argv[1:]
            payload = airflow.UpdateHITLDetailPayload(chosen_options=[answer])
            questions.update_hitl_detail(dag_id, run_id, task_id, NOT_MAPPED, payload)
            return
        for question in questions.get_hitl_details(ALL, ALL, response_received=False).hitl_details:
            task = question.task_instance
            print(f"{task.dag_id} {task.dag_run_id} {task.task_id}: {question.subject} {question.options}")


if __name__ == "__main__":
    main()
