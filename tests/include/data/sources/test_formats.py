"""The layout of files: names, renames and hints."""

from __future__ import annotations

import pytest

from include.data.sources.formats import Layout, Unreadable
from include.declarations import Column, FileSource

COLUMNS = (Column(name="customer_id", dtype="string"), Column(name="price", dtype="number"))
RENAMED = Layout(COLUMNS, FileSource(path="{partition}", rename={"Customer ID": "customer_id"}))


def test_names_of_a_file_are_mapped_to_columns():
    assert dict(RENAMED.names_in_file) == {"customer_id": "Customer ID", "price": "price"}
    assert RENAMED.undeclared(["price", "Customer ID", "a\0"]) == (r"a\u0000",)


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (["customer_id", "price"], "lacks Customer ID; it has customer_id, price"),
        (["Customer ID", "price", "price"], "has price twice"),
        (["Customer ID;price"], "delimiter seems to be ';', declared is ','"),
    ],
)
def test_names_that_are_not_declared_are_named(names, message):
    with pytest.raises(Unreadable, match=message):
        RENAMED.undeclared(names)
