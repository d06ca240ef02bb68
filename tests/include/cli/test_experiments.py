from __future__ import annotations

from include.cli.experiments import comparison_rows
from include.modeling.evaluation.evidence import Gain
from include.modeling.experiments import MetricFigures, TrainingSummary
from include.use_cases.delay_band import USE_CASE


def summary(**changes):
    values = {
        "run_id": "0123456789abcdef", "dag_run": "manual__1", "status": "FINISHED", "is_experiment": True,
        "as_of": "2013-03-01", "days": ("2013-01-01", "2013-02-28"), "features": USE_CASE.features,
        "parameters": {}, "rows": {"train": 12_000, "test": 3_000}, "metrics": {},
    }  # fmt: skip
    return TrainingSummary(**values | changes)


def test_trainings_stand_side_by_side():
    judged = summary(
        features=(*USE_CASE.features[1:], "speed"),
        parameters={"leaves": 31},
        metrics={"log_loss": MetricFigures(0.5123, (0.5, 0.53), 0.7)},
        champion=4,
        gain=Gain("log_loss", 0.0123, -0.001, 0.02, 0.95, 14, "paired bootstrap"),
        conclusion="refused",
        failed=("improvement_log_loss",),
    )
    rows = {row[0]: row[1:] for row in comparison_rows(USE_CASE, [judged, summary(is_experiment=False)])}
    n_features = len(USE_CASE.features)
    assert rows["features"] == [f"{n_features}: -carrier +speed", f"{n_features}: as declared"]
    assert rows["parameters"] == ["leaves=31", "defaults"]
    assert rows["kind"] == ["experiment", "training"]
    assert rows["log_loss"] == ["0.5123 (0.5000 to 0.5300)", ""]
    assert rows["gain in log_loss"] == ["+0.0123 (-0.0010 to +0.0200) on champion 4", "no champion"]
    assert rows["gates"] == ["refused: improvement_log_loss", "not judged"]


def test_command_prints_json_and_a_table(airworthy, monkeypatch):
    monkeypatch.setattr("include.modeling.experiments.compare_runs", lambda *_, **__: [summary()])
    shown = airworthy("experiments", "compare", "delay_band", "--json")
    assert shown.code == 0
    (value,) = shown.value
    assert (value["dag_run"], value["days"]) == ("manual__1", ["2013-01-01", "2013-02-28"])
    text = airworthy("experiments", "compare", "delay_band", "manual__1")
    assert "01234567" in text.out
    assert "2013-01-01 to 2013-02-28" in text.out
