from __future__ import annotations

import pytest
from pydantic import ValidationError

from include.declarations import Column, Dataset, FileSource


def customers(columns, **source):
    return Dataset(
        name="customers",
        owner="ann",
        description="Customers.",
        source=FileSource(path="customers.csv", **source),
        whole=True,
        key=("id",),
        columns=(Column(name="id", dtype="string"), *columns),
    )


NAME = Column(name="name", dtype="string")
PLAN = Column(name="plan", dtype="string", allowed=("NA", "plus"))


@pytest.mark.parametrize(
    ("columns", "source", "message"),
    [
        ((NAME,), {"rename": {"name": "id"}}, "source.rename: name of the file would be two columns, id and"),
        ((PLAN,), {"nulls": ("NA", "?")}, "columns.plan.allowed: NA is null by source.nulls"),
    ],
)
def test_column_that_its_file_cannot_give_is_refused(columns, source, message):
    with pytest.raises(ValidationError, match=message):
        customers(columns, **source)


def test_names_may_be_swapped_and_other_markers_are_null():
    swapped = customers((NAME, PLAN), rename={"name": "id", "id": "name"}, nulls=("?",))
    assert swapped.source.rename == {"name": "id", "id": "name"}
