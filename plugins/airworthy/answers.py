"""Answers of people to the questions of tasks: the field for the reason, and the answer in words."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow.sdk import Param

if TYPE_CHECKING:
    from collections.abc import Mapping

# Actor in the ledger when a question was not answered in time.
NO_ANSWER = "nobody"
REASON = "reason"
MAX_REASON_LENGTH = 500


def reason_param() -> Param:
    """
    Return the field of a question's form for the reason.

    Airflow's form has the same fields for each option: it cannot require a reason of a rejection alone.
    """
    return Param(
        None,
        type=["null", "string"],
        title="Reason",
        description="Why, for the ledger; it records a rejection without a reason as such",
        source="task",
    )


def respondent(event: Mapping[str, Any]) -> str:
    """Return the name of the person who answered; NO_ANSWER if the time was over."""
    return (event.get("responded_by_user") or {}).get("name") or NO_ANSWER


def describe_answer(event: Mapping[str, Any], did: str, *, needs_reason: bool) -> str:
    """Return `ann approved it: the reason`; if it has none that it needs, say so."""
    reason = str((event.get("params_input") or {}).get(REASON) or "").strip()[:MAX_REASON_LENGTH]
    without = " without a reason" if needs_reason else ""
    return f"{respondent(event)} {did}{f': {reason}' if reason else without}"
