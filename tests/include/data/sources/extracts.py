"""Frames of extracts, as tests compare them."""

from __future__ import annotations

from include.data.lake.dtypes import to_frame
from include.data.reading.raw import display
from include.data.reading.table import INTERNAL_COLUMNS, MALFORMED, MISFITS, MalformedLine, misfits_by_column


def frame_of(extract):
    """Return the declared and partition columns."""
    return to_frame(extract.table.drop_columns(list(INTERNAL_COLUMNS)))


def misfits_of(extract):
    """Return the raw values that do not fit, by column and number of the row, as text."""
    misfits = misfits_by_column(extract.table[MISFITS].to_pandas())
    return {name: values.map(display).to_dict() for name, values in misfits.items()}


def malformed_of(extract):
    """Return the line number, the text and the reason of each malformed line."""
    lines = map(MalformedLine.from_json, extract.table[MALFORMED].drop_null().to_pylist())
    return [(line.line, line.text, line.reason) for line in lines]
