from __future__ import annotations

import importlib
import itertools
import textwrap
from datetime import date, timedelta

import pandas as pd
import pytest

from include.catalog import catalog
from include.data import build_code

VIEW = catalog().feature_views["flight_features"]
WEATHER = catalog().datasets["weather"]
DAYS = [date(2013, 1, 1), date(2013, 1, 2)]
NUMBERS = itertools.count()
SOURCE = '''
    """Module."""
    LIMIT = 3
    FEATURE_VIEW = "the declaration"

    def build(frames, day):
        """Return rows."""
        return frames["x"].head(LIMIT)
'''


@pytest.fixture
def code_of(tmp_path, monkeypatch):
    """Return a function that returns the code of the view when its module has this source."""
    monkeypatch.syspath_prepend(tmp_path)

    def write(source, view=VIEW, **datasets):
        name = f"built_by_{next(NUMBERS)}"
        (tmp_path / f"{name}.py").write_text(textwrap.dedent(source))
        importlib.invalidate_caches()
        build = importlib.import_module(name).build
        return build_code.view_code(view, build, datasets={**catalog().datasets, **datasets})

    return write


@pytest.mark.parametrize(
    "source",
    [
        SOURCE.replace('"""Return rows."""', '"""Return some rows."""'),
        SOURCE.replace("LIMIT = 3", "LIMIT  =  3  # of them"),
        SOURCE.replace("the declaration", "another description"),
    ],
    ids=["docstring", "layout", "declaration"],
)
def test_code_is_the_same_when_no_row_can_change(code_of, source):
    assert code_of(source) == code_of(SOURCE)
    described = VIEW.model_copy(update={"owner": "somebody", "volume": (1, 2)})
    assert code_of(SOURCE, view=described) == code_of(SOURCE)
    described = WEATHER.model_copy(update={"description": "Else.", "volume": (1, 2)})
    assert code_of(SOURCE, weather=described) == code_of(SOURCE)


def test_code_differs_when_rows_may_change(code_of):
    codes = {
        code_of(SOURCE),
        code_of(SOURCE.replace("LIMIT = 3", "LIMIT = 4")),
        code_of(SOURCE.replace("head", "tail")),
        code_of(SOURCE, view=VIEW.model_copy(update={"horizon": timedelta(hours=3)})),
        code_of(SOURCE, weather=WEATHER.model_copy(update={"known_at": None})),
    }
    assert len(codes) == 5


def test_declared_code_is_that_of_the_present_files():
    assert build_code.declared_code("weather") == build_code.dataset_code(WEATHER)
    assert build_code.declared_code(VIEW.name) == build_code.declared_code(VIEW.name)


def test_stale_partitions_are_those_of_other_recorded_code(lake):
    rows = pd.DataFrame({"id": ["a"], "_airworthy_day": [str(DAYS[0])]})
    lake.publish("t", rows, DAYS[:1], metadata={"code": "old"})
    lake.publish("t", rows.assign(_airworthy_day=str(DAYS[1])), DAYS[1:], metadata={})
    assert build_code.stale_partitions(lake, "t", "new") == DAYS[:1]
    assert build_code.stale_partitions(lake, "t", "old") == []
    assert build_code.codes_of(lake, "t", DAYS) == {DAYS[0]: "old", DAYS[1]: ""}
    lake.publish("t", rows, DAYS[:1], metadata={"code": "new"})
    assert build_code.stale_partitions(lake, "t", "new") == []
