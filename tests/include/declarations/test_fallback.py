from __future__ import annotations

import pytest

from include.declarations import Fallback
from include.use_cases.delay_band import USE_CASE as DELAY_BAND
from include.use_cases.flight_delay import USE_CASE as FLIGHT_DELAY


@pytest.mark.parametrize(
    "text", ["unavailable", "baseline", "previous", "constant:0.2", "constant:[0.5, 0.5]"]
)
def test_text_of_a_fallback_is_read_again(text):
    assert str(Fallback.parse(text)) == text


@pytest.mark.parametrize("text", ["", "constant", "baseline:1", "constant:x", "nothing"])
def test_other_texts_are_refused(text):
    with pytest.raises(ValueError, match=r"fallback|Input|JSON|Expecting|kind"):
        Fallback.parse(text)


def test_constant_must_be_a_possible_prediction():
    FLIGHT_DELAY.check_fallback(Fallback.parse("constant:0.2"))
    with pytest.raises(ValueError, match="prediction_range"):
        FLIGHT_DELAY.check_fallback(Fallback.parse("constant:1.2"))
    with pytest.raises(ValueError, match="one number"):
        FLIGHT_DELAY.check_fallback(Fallback.parse("constant:[0.2]"))


def test_constant_of_classes_is_a_probability_each():
    n_classes = len(DELAY_BAND.class_names)
    DELAY_BAND.check_fallback(Fallback(kind="constant", value=(1 / n_classes,) * n_classes))
    with pytest.raises(ValueError, match="probabilities"):
        DELAY_BAND.check_fallback(Fallback.parse("constant:0.2"))
