from __future__ import annotations

import pytest

from airflow.providers.standard.operators.trigger_dagrun import TriggerDagRunLink

from airworthy.operators.governor import ActOperator
from airworthy.operators.trigger_run import TriggerRunOperator

RUNS = "http://airflow/dags/flight_delay_training/runs"


@pytest.mark.parametrize(
    ("address", "expected"),
    [(f"{RUNS}/decided__1", f"{RUNS}/decided__1"), (f"{RUNS}/None", "")],
    ids=["triggered", "nothing triggered"],
)
@pytest.mark.parametrize("operator", [TriggerRunOperator, ActOperator])
def test_link_leads_to_the_triggered_run_or_nowhere(monkeypatch, operator, address, expected):
    monkeypatch.setattr(TriggerDagRunLink, "get_link", lambda self, operator, *, ti_key: address)
    link = operator.operator_extra_links[0]
    assert link.get_link(None, ti_key=None) == expected
