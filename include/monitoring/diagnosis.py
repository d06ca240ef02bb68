"""What a check of drift and quality found, by its name: causes, and labels that stopped coming."""

from __future__ import annotations

from typing import TYPE_CHECKING

from include.monitoring.label_quality import MINIMUM_LABELS
from include.monitoring.quality.causes import CONCEPT_DRIFT, COVARIATE_SHIFT, LABEL_SHIFT

if TYPE_CHECKING:
    from include.declarations import UseCase
    from include.monitoring.label_quality import Quality

DATA_FAULT = "data fault"


def name_causes(drift: str, quality: Quality, *, is_faulty: bool = False) -> tuple[str, ...]:
    """
    Return the names of what the measurements of a run found, be it a loss or not.

    Parameters
    ----------
    is_faulty
        Whether the data look faulty: then nothing else can be told.
    """
    if is_faulty:
        return (DATA_FAULT,)
    label_shift = bool(quality.shifts.get("label", {}).get("drifted"))
    names = {
        COVARIATE_SHIFT: drift == "drift" or quality.cause == COVARIATE_SHIFT,
        LABEL_SHIFT: label_shift or quality.cause == LABEL_SHIFT,
        CONCEPT_DRIFT: quality.cause == CONCEPT_DRIFT,
    }
    return tuple(name for name, is_found in names.items() if is_found)


def find_late_labels(quality: Quality, use_case: UseCase) -> str:
    """
    Return that labels stopped coming, with the figures; empty if they did not.

    Of the newest window with enough predictions whose labels are due, less than half of the share that is
    needed has landed: a label that comes a little late is no fault.
    """
    minimum = use_case.label.minimum_completeness
    for result in quality.windows:
        if result.predictions < MINIMUM_LABELS:
            continue
        if result.completeness >= minimum / 2:
            return ""
        until = f" until {result.window[1]:%Y-%m-%d %H:%M}" if result.window else ""
        return (
            f"labels stopped coming: {result.completeness:.1%} of those of {result.predictions} "
            f"predictions{until} have landed, {minimum:.0%} are needed"
        )
    return ""
