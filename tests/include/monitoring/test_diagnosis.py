from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

from include.monitoring.diagnosis import find_late_labels, name_causes
from include.monitoring.label_quality import Quality
from include.use_cases.flight_delay import USE_CASE

WINDOW = (datetime(2026, 1, 1, tzinfo=UTC), datetime(2026, 1, 8, tzinfo=UTC))
LANDED = Quality("good", "", 400, 400, 1.0, 0.3, {}, window=WINDOW)


def late(*windows):
    return find_late_labels(replace(LANDED, windows=windows), USE_CASE)


def test_labels_that_stopped_are_named_with_their_figures():
    text = late(replace(LANDED, completeness=0.1), LANDED)
    assert text == (
        "labels stopped coming: 10.0% of those of 400 predictions until 2026-01-08 00:00 have landed, "
        "90% are needed"
    )


def test_labels_that_come_are_not_late():
    assert late(LANDED) == ""
    assert late(replace(LANDED, completeness=0.86)) == ""


def test_few_predictions_say_nothing_about_labels():
    assert late(replace(LANDED, predictions=99, completeness=0.0), LANDED) == ""
    assert late() == ""


def test_causes_name_what_was_measured():
    shifted = replace(LANDED, shifts={"label": {"drifted": True}}, cause="concept drift")
    assert name_causes("no_drift", LANDED) == ()
    assert name_causes("drift", shifted) == ("covariate shift", "label shift", "concept drift")
    assert name_causes("drift", shifted, is_faulty=True) == ("data fault",)
