from __future__ import annotations

import pandas as pd

from include.declarations import Column
from include.monitoring.personal_values import comparable_columns, with_pseudonyms
from include.pseudonyms import pseudonym

COLUMNS = (
    Column(name="city", dtype="string", personal=True),
    Column(name="age", dtype="integer", personal=True),
    Column(name="hour", dtype="integer"),
)


def test_personal_numbers_are_not_compared():
    assert [column.name for column in comparable_columns(COLUMNS)] == ["city", "hour"]


def test_personal_values_become_the_pseudonyms_of_the_log():
    key = pseudonym("Paris", "key")
    frame = pd.DataFrame({"city": ["Paris", key, None], "hour": [1, 2, 3]})
    encoded = with_pseudonyms(frame, COLUMNS, "key")
    assert encoded["city"].tolist() == [key, key, None]
    assert encoded["hour"].tolist() == [1, 2, 3]


def test_integer_keys_become_pseudonyms_of_their_text():
    frame = pd.DataFrame({"age": pd.array([17, None], dtype="Int64")})
    assert with_pseudonyms(frame, COLUMNS, "key")["age"].tolist()[0] == pseudonym("17", "key")
