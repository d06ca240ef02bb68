"""Results of checks as sentences and as JSON."""

from __future__ import annotations

import json

import pytest

from include.data.validation.results import CheckResult, ValidationResult, passed
from include.errors import QualityFailed

HIGH = CheckResult("expect_low", "speed", "critical", False, 2, (float("inf"), "x" * 200), "speed is high")
OLD = CheckResult("expect_new", "seen", "warning", False, 1, (), "seen is old")
GOOD = CheckResult("expect_good", "id", "critical", True, 0, (), "")


def test_recorded_fields_are_plain_json():
    record = HIGH.as_json()
    assert json.loads(json.dumps(record, allow_nan=False)) == record
    assert list(record) == [
        "expectation", "column", "severity", "success", "failed_rows", "examples", "message", "blocking",
    ]  # fmt: skip
    assert record["examples"] == ["inf", "x" * 120 + "…"]


def test_critical_failure_alone_becomes_blocking():
    results = [result.blocking_if_critical() for result in (HIGH, OLD, GOOD)]
    assert [result.blocking for result in results] == [True, False, False]
    assert not passed(results)


def test_failed_validation_names_blocking_and_critical_failures():
    validation = ValidationResult(False, 9, (HIGH.blocking_if_critical(), OLD, GOOD))
    with pytest.raises(QualityFailed, match=r"^cars: 9 rows did not pass\. expect_low\(speed\): speed"):
        validation.raise_if_failed("cars")
    assert validation.remarks() == ["warning: expect_new(seen): seen is old"]
    assert validation.failed == {"critical": ["expect_low(speed)"], "warning": ["expect_new(seen)"]}


def test_passed_validation_raises_nothing():
    validation = ValidationResult(True, 9, (GOOD,))
    validation.raise_if_failed("cars")
    assert validation.figures() == {"rows": 9, "quarantined": 0, "failed": {}}


def test_causes_come_first_and_the_remedy_may_be_named():
    row = CheckResult(
        "of_type", "a", "critical", success=False, failed_rows=9, examples=(), message="a is no integer"
    )
    volume = CheckResult("rows", "", "critical", False, 1, (), "too few", blocking=True)
    with pytest.raises(QualityFailed) as refusal:
        ValidationResult(False, 9, (volume, row)).raise_if_failed("cars", remedy="Correct build() of cars.")
    message = str(refusal.value)
    assert message.index("a is no integer") < message.index("too few")
    assert message.endswith(". Correct build() of cars.")
