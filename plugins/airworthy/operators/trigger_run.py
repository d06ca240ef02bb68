"""Operator that triggers a DAG run, and links to the run only if there is one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow.providers.standard.operators.trigger_dagrun import TriggerDagRunLink, TriggerDagRunOperator

if TYPE_CHECKING:
    from airflow.sdk.types import TaskInstanceKey


class TriggeredRunLink(TriggerDagRunLink):
    """Link to the triggered run; that of the provider leads to a run `None` if there is none."""

    def get_link(self, operator: Any, *, ti_key: TaskInstanceKey) -> str:
        """Return the address, or an empty text if nothing was triggered."""
        address: str = super().get_link(operator, ti_key=ti_key)
        return "" if address.endswith("/None") else address


class TriggerRunOperator(TriggerDagRunOperator):
    """
    Trigger a DAG run, as `TriggerDagRunOperator` does.

    Example::

        TriggerRunOperator(task_id="act", trigger_dag_id="flight_delay_training")
    """

    operator_extra_links = [TriggeredRunLink()]
