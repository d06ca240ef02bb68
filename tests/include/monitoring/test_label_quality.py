from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from include.errors import DataError
from include.monitoring.label_quality import join_labels, measure_quality
from include.monitoring.quality.skill import baseline_constant
from include.use_cases.air_time import USE_CASE as AIR_TIME
from include.use_cases.delay_band import USE_CASE as DELAY_BAND
from include.use_cases.flight_delay import USE_CASE as FLIGHT_DELAY


def joined(values, delays, use_case=FLIGHT_DELAY):
    ids = [f"f{n}" for n in range(len(values))]
    predictions = pd.DataFrame({"flight_id": ids, "_airworthy_prediction": values})
    labels = pd.DataFrame({"flight_id": ids[: len(delays)], use_case.label.column: delays})
    return join_labels(predictions, labels, use_case, keys=["flight_id"])


def test_binary_target_is_whether_the_label_is_above():
    rows = joined([0.5] * 4, [16.0, 15.0, -3.0, np.nan])
    assert rows["_airworthy_target"].tolist()[:3] == [1, 0, 0]
    assert np.isnan(rows["_airworthy_target"][3]), "a cancelled flight is neither late nor in time"


def test_regression_target_is_the_label():
    assert joined([100.0], [93.0], AIR_TIME)["_airworthy_target"].tolist() == [93]


def test_labels_that_have_not_landed_are_counted():
    quality = measure_quality(joined([0.5] * 10, [16.0] * 4), FLIGHT_DELAY, baseline=0.2)
    assert (quality.predictions, quality.labelled, quality.completeness) == (10, 4, 0.4)
    assert (quality.outcome, quality.skill) == ("inconclusive", None)


def test_labels_without_a_prediction_change_nothing():
    predictions = pd.DataFrame({"flight_id": ["a", None], "_airworthy_prediction": [0.5, 0.5]})
    labels = pd.DataFrame({"flight_id": ["a", "b"], "arr_delay": [0.0, 99.0]})
    assert join_labels(predictions, labels, FLIGHT_DELAY, keys=["flight_id"])["flight_id"].tolist() == ["a"]


def test_last_prediction_for_an_entity_counts():
    predictions = pd.DataFrame({"flight_id": ["a", "a"], "_airworthy_prediction": [0.1, 0.9]})
    labels = pd.DataFrame({"flight_id": ["a"], "arr_delay": [99.0]})
    assert join_labels(predictions, labels, FLIGHT_DELAY, keys=["flight_id"])[
        "_airworthy_prediction"
    ].tolist() == [0.9]


def test_two_labels_of_one_entity_are_an_error():
    labels = pd.DataFrame({"flight_id": ["a", "a"], "arr_delay": [1.0, 99.0]})
    predictions = pd.DataFrame({"flight_id": ["a"], "_airworthy_prediction": [0.1]})
    with pytest.raises(DataError, match="'a' has several labels"):
        join_labels(predictions, labels, FLIGHT_DELAY, keys=["flight_id"])


def test_later_prediction_counts_in_any_row_order():
    predictions = pd.DataFrame(
        {"flight_id": ["a", "a"], "_airworthy_prediction": [0.9, 0.1], "_airworthy_at": [2, 1]}
    )
    labels = pd.DataFrame({"flight_id": ["a"], "arr_delay": [99.0]})
    assert join_labels(predictions, labels, FLIGHT_DELAY, keys=["flight_id"])[
        "_airworthy_prediction"
    ].tolist() == [0.9]


def by_day(predicted, labelled):
    """Join pairs of entity and day and return the targets: the positions of the labels."""
    predictions = pd.DataFrame(predicted, columns=["flight_id", "_airworthy_day"]).assign(
        _airworthy_prediction=1.0
    )
    labels = pd.DataFrame(labelled, columns=["flight_id", "_airworthy_day"]).assign(
        air_time=range(len(labelled))
    )
    return join_labels(predictions, labels, AIR_TIME, keys=["flight_id"])["_airworthy_target"].tolist()


def test_label_of_a_later_day_is_joined():
    assert by_day([("a", "2013-07-01")], [("a", "2013-07-08")]) == [0]


def test_label_of_the_same_day_comes_first():
    assert by_day([("a", "2013-07-01")], [("a", "2013-07-01"), ("a", "2013-07-08")]) == [0]


def test_entity_of_several_days_takes_no_other_days_label():
    targets = by_day([("a", "2013-07-01"), ("a", "2013-07-02")], [("a", "2013-07-02")])
    assert np.isnan(targets[0])
    assert targets[1] == 0


def test_request_takes_the_newest_label_of_its_entity():
    predictions = pd.DataFrame({"flight_id": ["a"], "_airworthy_prediction": [0.5]})
    days = ["2013-07-08", "2013-07-01"]
    labels = pd.DataFrame({"flight_id": ["a", "a"], "_airworthy_day": days, "arr_delay": [99.0, np.nan]})
    assert join_labels(predictions, labels, FLIGHT_DELAY, keys=["flight_id"])[
        "_airworthy_target"
    ].tolist() == [1]


def test_label_without_a_value_has_landed():
    quality = measure_quality(joined([0.5] * 10, [16.0] * 5 + [np.nan] * 5), FLIGHT_DELAY, baseline=0.2)
    assert (quality.completeness, quality.labelled) == (1, 5)


def test_quality_is_inconclusive_below_the_completeness():
    delays = np.where(np.arange(400) % 4 == 0, 60.0, 0.0)
    early = measure_quality(joined([0.5] * 400, delays[:300]), FLIGHT_DELAY, baseline=0.25)
    assert early.outcome == "inconclusive"
    assert early.reason == "waiting: 75.0% of the labels of 400 predictions have landed, 90% are needed"
    assert measure_quality(joined([0.5] * 400, delays[:380]), FLIGHT_DELAY, baseline=0.25).outcome == "lost"


def test_predictions_with_labels_not_due_do_not_count():
    rows = joined([0.5] * 400, np.where(np.arange(300) % 4 == 0, 60.0, 0.0))
    quality = measure_quality(
        rows.assign(_airworthy_due=[True] * 290 + [False] * 110), FLIGHT_DELAY, baseline=0.25
    )
    assert (quality.predictions, quality.completeness, quality.outcome) == (300, 1, "lost")


@pytest.mark.parametrize(
    ("prediction", "outcome"),
    [(lambda late: 0.1 + 0.8 * late, "good"), (lambda late: 1 - late, "lost")],
)
def test_quality_no_better_than_a_constant_is_lost(prediction, outcome):
    delays = np.where(np.arange(200) % 4 == 0, 60.0, 0.0)
    quality = measure_quality(joined(prediction(delays > 15), delays), FLIGHT_DELAY, baseline=0.25)
    assert quality.outcome == outcome
    assert "roc_auc" in quality.figures
    assert quality.completeness == 1


def test_skill_is_relative_to_the_baseline():
    minutes = np.array([100.0, 200.0] * 100)
    quality = measure_quality(joined(minutes + 5, minutes, AIR_TIME), AIR_TIME, baseline=150.0)
    assert quality.skill == pytest.approx(1 - 5 / 50)


def test_baseline_fits_the_loss():
    target = pd.Series([0.0, 0.0, 0.0, 1.0])
    assert baseline_constant(FLIGHT_DELAY, target) == 0.25
    assert baseline_constant(AIR_TIME, target) == 0


def test_quality_of_equal_labels_is_inconclusive():
    quality = measure_quality(joined([100.0] * 200, [90.0] * 200, AIR_TIME), AIR_TIME, baseline=90.0)
    assert quality.outcome == "inconclusive"


def test_quality_without_predictions_is_inconclusive():
    assert measure_quality(joined([], []), FLIGHT_DELAY, baseline=0.2).outcome == "inconclusive"


SHARES = np.array([0.6, 0.3, 0.1])


def of_classes(probabilities):
    """Return 200 equal multiclass predictions; half of the flights are on time, half late."""
    return joined([probabilities] * 200, [0.0, 30.0] * 100, DELAY_BAND)


def test_multiclass_target_is_the_position_of_its_band():
    rows = joined([[1.0, 0.0, 0.0]] * 4, [15.0, 16.0, 61.0, np.nan], DELAY_BAND)
    assert rows["_airworthy_target"].tolist()[:3] == [0, 1, 2]
    assert np.isnan(rows["_airworthy_target"][3])


@pytest.mark.parametrize(
    ("probabilities", "outcome"), [([0.5, 0.45, 0.05], "good"), ([0.1, 0.1, 0.8], "lost")]
)
def test_multiclass_skill_is_relative_to_the_class_shares(probabilities, outcome):
    quality = measure_quality(of_classes(probabilities), DELAY_BAND, baseline=SHARES)
    assert quality.outcome == outcome
    assert {"log_loss", "accuracy"} <= set(quality.figures)


def test_multiclass_baseline_is_the_share_of_each_class():
    shares = baseline_constant(DELAY_BAND, pd.Series([0, 0, 1, 1]))
    assert shares.tolist() == [0.5, 0.5, 0.0]


def recurring(predicted, labelled, *, recurs=False, time=None, event="_airworthy_day"):
    """Join predictions of entities that recur and return the targets: the positions of the labels."""
    predictions = pd.DataFrame(predicted).assign(_airworthy_prediction=1.0)
    labels = pd.DataFrame(labelled, columns=["shop", "till", event]).assign(air_time=range(len(labelled)))
    joined = join_labels(predictions, labels, AIR_TIME, keys=["shop", "till"], time=time, recurs=recurs)
    return joined["_airworthy_target"].astype(object).where(joined["_airworthy_landed"], None).tolist()


LABELLED = [("a", 0, "2013-07-01"), ("a", 1, "2013-07-01"), ("a", 0, "2013-07-02"), ("a", 0, "2013-07-04")]


def test_entity_that_recurs_gets_the_label_of_its_day():
    days = ["2013-07-02", "2013-07-01", "2013-07-03", "2013-07-01"]
    predicted = {"shop": ["a"] * 4, "till": [0, 0, 0, 1], "_airworthy_day": days}
    assert recurring(predicted, LABELLED) == [2, 0, None, 1]


def test_request_of_a_recurring_entity_gets_the_next_day():
    moments = pd.to_datetime(
        ["2013-06-30T23:00Z", "2013-07-02T01:00Z", "2013-07-03T12:00Z", "2013-07-09T00:00Z"]
    )
    assert recurring({"shop": ["a"] * 4, "till": [0] * 4, "_airworthy_at": moments}, LABELLED) == [
        0,
        2,
        3,
        None,
    ]


def test_entity_of_which_one_label_is_read_may_recur():
    predicted = {"shop": ["a"], "till": [0], "_airworthy_at": pd.to_datetime(["2013-07-02T01:00Z"])}
    assert recurring(predicted, LABELLED[:2]) == [0]
    assert recurring(predicted, LABELLED[:2], recurs=True) == [None]


def test_request_with_the_time_of_the_event_gets_its_label():
    moments = [pd.Timestamp("2013-07-01T10:00Z"), pd.Timestamp("2013-07-01T11:00Z")]
    labelled = [("a", 0, moment) for moment in moments]
    predicted = {"shop": ["a", "a"], "till": [0, 0], "event": list(reversed(moments))}
    assert recurring(predicted, labelled, time="event", event="event") == [1, 0]


def test_label_of_an_earlier_event_is_not_joined():
    first = pd.Timestamp("2013-07-01T10:00Z")
    second = pd.Timestamp("2013-07-02T10:00Z")
    labelled = [("a", 0, first), ("b", 0, second)]
    predicted = {"shop": ["a", "b"], "till": [0, 0], "event": [second, first]}
    assert recurring(predicted, labelled, time="event", event="event") == [None, 1]
