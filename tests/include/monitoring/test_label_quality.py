from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from include.errors import DataError
from include.monitoring.label_quality import baseline_loss, join_labels, measure_quality
from include.use_cases.air_time import USE_CASE as AIR_TIME
from include.use_cases.delay_band import USE_CASE as DELAY_BAND
from include.use_cases.flight_delay import USE_CASE as FLIGHT_DELAY


def joined(predictions, delays, use_case=FLIGHT_DELAY):
    ids = [f"f{n}" for n in range(len(predictions))]
    asked = pd.DataFrame({"flight_id": ids, "prediction": predictions})
    landed = pd.DataFrame({"flight_id": ids[: len(delays)], use_case.label.column: delays})
    return join_labels(asked, landed, use_case, entity="flight_id")


def test_a_classifiers_label_is_whether_the_value_is_above():
    rows = joined([0.5] * 4, [16.0, 15.0, -3.0, np.nan])
    assert rows["target"].tolist()[:3] == [1, 0, 0]
    assert np.isnan(rows["target"][3]), "a cancelled flight is neither late nor in time"


def test_a_regressions_label_is_the_value():
    assert joined([100.0], [93.0], AIR_TIME)["target"].tolist() == [93]


def test_labels_that_have_not_landed_are_missing_and_counted():
    quality = measure_quality(joined([0.5] * 10, [16.0] * 4), FLIGHT_DELAY, naive=0.2)
    assert (quality.predictions, quality.labelled, quality.completeness) == (10, 4, 0.4)
    assert (quality.outcome, quality.skill) == ("inconclusive", None)


def test_labels_of_flights_that_nobody_asked_for_change_nothing():
    asked = pd.DataFrame({"flight_id": ["a", None], "prediction": [0.5, 0.5]})
    landed = pd.DataFrame({"flight_id": ["a", "b"], "arr_delay": [0.0, 99.0]})
    assert join_labels(asked, landed, FLIGHT_DELAY, entity="flight_id")["flight_id"].tolist() == ["a"]


def test_of_a_flight_asked_for_twice_the_last_prediction_counts():
    asked = pd.DataFrame({"flight_id": ["a", "a"], "prediction": [0.1, 0.9]})
    landed = pd.DataFrame({"flight_id": ["a"], "arr_delay": [99.0]})
    assert join_labels(asked, landed, FLIGHT_DELAY, entity="flight_id")["prediction"].tolist() == [0.9]


def test_two_labels_of_one_flight_are_an_error_that_names_it():
    landed = pd.DataFrame({"flight_id": ["a", "a"], "arr_delay": [1.0, 99.0]})
    asked = pd.DataFrame({"flight_id": ["a"], "prediction": [0.1]})
    with pytest.raises(DataError, match="'a' has several labels"):
        join_labels(asked, landed, FLIGHT_DELAY, entity="flight_id")


def test_of_a_flight_asked_for_twice_the_later_prediction_counts_in_whatever_order_they_are_read():
    asked = pd.DataFrame({"flight_id": ["a", "a"], "prediction": [0.9, 0.1], "at": [2, 1]})
    landed = pd.DataFrame({"flight_id": ["a"], "arr_delay": [99.0]})
    assert join_labels(asked, landed, FLIGHT_DELAY, entity="flight_id")["prediction"].tolist() == [0.9]


def by_day(predictions, labels):
    """Join predictions and labels, each an entity and a day, and return the targets (the label's place)."""
    asked = pd.DataFrame(predictions, columns=["flight_id", "day"]).assign(prediction=1.0)
    landed = pd.DataFrame(labels, columns=["flight_id", "day"]).assign(air_time=range(len(labels)))
    return join_labels(asked, landed, AIR_TIME, entity="flight_id")["target"].tolist()


def test_a_label_in_a_later_publication_finds_its_prediction():
    assert by_day([("a", "2013-07-01")], [("a", "2013-07-08")]) == [0]


def test_of_two_publications_the_prediction_takes_that_of_its_own_day():
    assert by_day([("a", "2013-07-01")], [("a", "2013-07-01"), ("a", "2013-07-08")]) == [0]


def test_an_entity_of_every_day_takes_no_other_days_label():
    targets = by_day([("a", "2013-07-01"), ("a", "2013-07-02")], [("a", "2013-07-02")])
    assert np.isnan(targets[0])
    assert targets[1] == 0


def test_a_request_takes_the_newest_label_of_what_it_asked_for():
    asked = pd.DataFrame({"flight_id": ["a"], "prediction": [0.5]})
    days = ["2013-07-08", "2013-07-01"]
    landed = pd.DataFrame({"flight_id": ["a", "a"], "day": days, "arr_delay": [99.0, np.nan]})
    assert join_labels(asked, landed, FLIGHT_DELAY, entity="flight_id")["target"].tolist() == [1]


def test_a_label_that_is_known_to_be_none_has_landed():
    quality = measure_quality(joined([0.5] * 10, [16.0] * 5 + [np.nan] * 5), FLIGHT_DELAY, naive=0.2)
    assert (quality.completeness, quality.labelled) == (1, 5)


def test_where_too_few_labels_have_landed_quality_waits_for_them():
    delays = np.where(np.arange(400) % 4 == 0, 60.0, 0.0)
    early = measure_quality(joined([0.5] * 400, delays[:300]), FLIGHT_DELAY, naive=0.25)
    assert early.outcome == "inconclusive"
    assert early.reason == "waiting: 75.0% of the labels of 400 predictions have landed, 90% are needed"
    assert measure_quality(joined([0.5] * 400, delays[:380]), FLIGHT_DELAY, naive=0.25).outcome == "lost"


def test_predictions_whose_labels_are_not_due_yet_are_not_missing():
    rows = joined([0.5] * 400, np.where(np.arange(300) % 4 == 0, 60.0, 0.0))
    quality = measure_quality(rows.assign(due=[True] * 290 + [False] * 110), FLIGHT_DELAY, naive=0.25)
    assert (quality.predictions, quality.completeness, quality.outcome) == (300, 1, "lost")


@pytest.mark.parametrize(
    ("prediction", "outcome"), [(lambda late: 0.1 + 0.8 * late, "good"), (lambda late: 1 - late, "lost")]
)
def test_quality_is_lost_when_it_is_no_better_than_always_saying_the_same(prediction, outcome):
    delays = np.where(np.arange(200) % 4 == 0, 60.0, 0.0)
    quality = measure_quality(joined(prediction(delays > 15), delays), FLIGHT_DELAY, naive=0.25)
    assert quality.outcome == outcome
    assert "roc_auc" in quality.figures
    assert quality.completeness == 1


def test_the_skill_is_measured_against_the_naive_forecast():
    minutes = np.array([100.0, 200.0] * 100)
    quality = measure_quality(joined(minutes + 5, minutes, AIR_TIME), AIR_TIME, naive=150.0)
    assert quality.skill == pytest.approx(1 - 5 / 50)


def test_the_naive_forecast_fits_the_loss():
    target = pd.Series([0.0, 0.0, 0.0, 1.0])
    assert baseline_loss(FLIGHT_DELAY, target) == 0.25
    assert baseline_loss(AIR_TIME, target) == 0


def test_where_all_labels_are_alike_there_is_no_skill_to_measure():
    quality = measure_quality(joined([100.0] * 200, [90.0] * 200, AIR_TIME), AIR_TIME, naive=90.0)
    assert quality.outcome == "inconclusive"


def test_no_predictions_are_inconclusive():
    assert measure_quality(joined([], []), FLIGHT_DELAY, naive=0.2).outcome == "inconclusive"


SHARES = np.array([0.6, 0.3, 0.1])


def of_classes(probabilities):
    """Return 200 predictions of several classes, all alike: half of the flights are on time, half late."""
    return joined([probabilities] * 200, [0.0, 30.0] * 100, DELAY_BAND)


def test_of_several_classes_the_label_is_the_place_of_its_band():
    rows = joined([[1.0, 0.0, 0.0]] * 4, [15.0, 16.0, 61.0, np.nan], DELAY_BAND)
    assert rows["target"].tolist()[:3] == [0, 1, 2]
    assert np.isnan(rows["target"][3])


@pytest.mark.parametrize(
    ("probabilities", "outcome"), [([0.5, 0.45, 0.05], "good"), ([0.1, 0.1, 0.8], "lost")]
)
def test_of_several_classes_the_yardstick_is_the_share_of_each(probabilities, outcome):
    quality = measure_quality(of_classes(probabilities), DELAY_BAND, naive=SHARES)
    assert quality.outcome == outcome
    assert {"log_loss", "accuracy"} <= set(quality.figures)


def test_the_naive_forecast_of_several_classes_is_the_share_of_each():
    shares = baseline_loss(DELAY_BAND, pd.Series([0, 0, 1, 1]))
    assert shares.tolist() == [0.5, 0.5, 0.0]
