from __future__ import annotations

from datetime import UTC, date, datetime
from decimal import Decimal

import pyarrow as pa
import pytest

from include.data.reading import misfit_causes as causes
from include.data.reading.columns import read_array, read_values
from include.data.reading.misfit_causes import misfit_cause
from include.data.reading.raw import Opaque

CAUSES = [
    ("integer", "17.5", causes.FRACTION),
    ("integer", 17.5, causes.FRACTION),
    ("integer", Decimal("0.24"), causes.FRACTION),
    ("integer", "9223372036854775808", causes.INTEGER_RANGE),
    ("integer", 2**63, causes.INTEGER_RANGE),
    ("integer", "1e300", causes.INTEGER_RANGE),
    ("integer", "1e999999999999", causes.INTEGER_RANGE),
    ("integer", float("inf"), causes.NUMBER_RANGE),
    ("integer", "0x1F", causes.TEXT),
    ("integer", "1_000", causes.TEXT),
    ("integer", "1,000", causes.MARKS),
    ("integer", "1 000", causes.MARKS),
    ("integer", "\u0661\u0662", causes.LETTERS),
    ("integer", "12\u00a0", causes.LETTERS),
    ("integer", "1\u00a0000", causes.MARKS),
    ("number", "\uff11.5", causes.LETTERS),
    ("number", "\u00a01.5", causes.LETTERS),
    ("integer", "NA", causes.NULL_MARKER),
    ("integer", "?", causes.NULL_MARKER),
    ("integer", True, causes.TRUTH),
    ("integer", "false", causes.TRUTH),
    ("integer", datetime(2013, 1, 1, tzinfo=UTC), causes.MOMENT),
    ("number", "1,5", causes.MARKS),
    ("number", "1.234,5", causes.MARKS),
    ("number", "inf", causes.NUMBER_RANGE),
    ("number", "1e400", causes.NUMBER_RANGE),
    ("number", 10**400, causes.NUMBER_RANGE),
    ("number", float("-inf"), causes.NUMBER_RANGE),
    ("number", "fast", causes.TEXT),
    ("number", "1_000.5", causes.TEXT),
    ("number", "N/A", causes.NULL_MARKER),
    ("number", Opaque("[1]"), causes.OTHER),
    ("boolean", "yes", causes.NO_TRUTH),
    ("boolean", 2, causes.NO_TRUTH),
    ("boolean", "null", causes.NULL_MARKER),
    ("string", 7, causes.NUMBER),
    ("string", True, causes.TRUTH),
    ("string", date(2013, 1, 1), causes.MOMENT),
    ("string", "a\0b", causes.CHARACTER),
    ("timestamp", "2013-01-01T05:00:00", causes.NO_ZONE),
    ("timestamp", "2013-01-01", causes.NO_ZONE),
    ("timestamp", datetime(2013, 1, 1), causes.NO_ZONE),
    ("timestamp", date(2013, 1, 1), causes.NO_ZONE),
    ("timestamp", "2013-02-30T05:00:00Z", causes.NO_DAY),
    ("timestamp", "2013-02-30 05:00", causes.NO_DAY),
    ("timestamp", "2013-01-01T24:00:00Z", causes.NO_DAY),
    ("timestamp", "31.12.2013 05:00", causes.TIME_FORMAT),
    ("timestamp", "12/31/2013", causes.TIME_FORMAT),
    ("timestamp", "1 Jan 2013", causes.TIME_FORMAT),
    ("timestamp", "1357016400", causes.SECONDS),
    ("timestamp", 1357016400, causes.SECONDS),
    ("timestamp", "soon", causes.NO_MOMENT),
    ("timestamp", "-", causes.NULL_MARKER),
]


@pytest.mark.parametrize(("dtype", "value", "cause"), CAUSES, ids=lambda part: str(part)[:25])
def test_cause_of_a_refused_value_names_the_remedy(dtype, value, cause):
    if not isinstance(value, Opaque):
        assert list(read_values([value], dtype).misfits) == [0]
    assert misfit_cause(value, dtype) == cause


@pytest.mark.parametrize("milliseconds", [10**15, -(10**14)])
@pytest.mark.parametrize(("dtype", "cause"), [("timestamp", causes.NO_DAY), ("string", causes.MOMENT)])
def test_cause_of_a_moment_outside_the_calendar_is_its_year(milliseconds, dtype, cause):
    moments = pa.array([milliseconds], pa.timestamp("ms", "UTC"))
    assert misfit_cause(read_array(moments, dtype).misfits[0], dtype) == cause


@pytest.mark.parametrize("cause", sorted({cause for _, _, cause in CAUSES}))
def test_cause_has_a_remedy_and_shows_no_value(cause):
    assert ";" in cause
    assert "{" not in cause
