"""A gate's verdict as a line of text."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping


def describe_verdict(verdict: Mapping[str, Any]) -> str:
    """
    Return the line of a verdict: gate, outcome and reason; of one that only warns it says so.

    Parameters
    ----------
    verdict
        `gate`, `outcome`, `severity` and `reason`, as in the XCom `verdicts` of the task `gate`.
    """
    outcome = verdict["outcome"]
    if outcome != "pass" and verdict["severity"] != "block":
        outcome = f"{outcome}, which only warns"
    return f"{verdict['gate']}: {outcome}: {verdict['reason']}"
