from __future__ import annotations

from datetime import date, timedelta

import pytest
from pydantic import ValidationError

from include.declarations import Column, Dataset, FeatureView, FileSource, ViewSource
from include.declarations.relations.undated import check_view_sources
from include.errors import DeclarationError

ID = Column(name="id", dtype="integer")
AT = Column(name="at", dtype="timestamp")


def dataset(**changes):
    fields = {
        "name": "customers", "owner": "ann", "description": "Customers.", "columns": (ID,), "key": ("id",),
        "source": FileSource(path="customers.csv"), "whole": True,
    }  # fmt: skip
    return Dataset(**fields | changes)


def view(**changes):
    fields = {
        "name": "features", "owner": "ann", "description": "Customers.", "entity": "id", "columns": (ID,),
        "sources": (ViewSource(dataset="customers"),),
    }  # fmt: skip
    return FeatureView(**fields | changes)


def test_time_of_undated_rows_is_when_they_landed():
    assert (view().is_dated, view().time, view(time=None).time) == (
        False,
        "customers_known_at",
        "customers_known_at",
    )
    assert [column.name for column in view().features] == []
    assert view(time="at", columns=(ID, AT)).is_dated


MISTAKES = {
    "path of a partition": (
        lambda: dataset(source=FileSource(path="{partition}.csv")),
        "without {partition}",
    ),
    "hours of a whole": (lambda: dataset(granularity="hour"), "whole: there are no partitions"),
    "path without a partition": (
        lambda: dataset(whole=False, first_partition=date(2026, 1, 1)),
        "source.path: {partition} is missing; without it",
    ),
    "no first partition": (
        lambda: dataset(whole=False, source=FileSource(path="{partition}.csv")),
        "first_partition: declare the first day",
    ),
    "horizon of nothing": (
        lambda: view(horizon=timedelta(hours=1)),
        "horizon: rows without a time have none",
    ),
    "several sources": (
        lambda: view(sources=(ViewSource(dataset="a"), ViewSource(dataset="b"))),
        "rows without a time come from one dataset",
    ),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_undated_declaration_that_cannot_be_met_is_refused(mistake):
    declare, message = MISTAKES[mistake]
    with pytest.raises(ValidationError, match=message):
        declare()


def test_dated_view_of_a_whole_dataset_is_refused():
    dated = view(time="at", columns=(ID, AT))
    with pytest.raises(DeclarationError, match="customers is read whole and has no dates"):
        check_view_sources(dated, {"customers": dataset(columns=(ID, AT))}, has_build=True)


def orders():
    return dataset(
        name="orders",
        whole=False,
        source=FileSource(path="{partition}.csv"),
        columns=(ID, AT),
        first_partition=date(2026, 1, 1),
    )


@pytest.mark.parametrize(
    ("orders_source", "customers_source", "message"),
    [
        ({}, {}, ""),
        ({}, {"versions": "newest"}, ""),
        ({}, {"lookback_days": 1}, "customers is read whole and has no partitions to look back to"),
        ({"versions": "newest"}, {}, "orders is no reference table"),
    ],
)
def test_whole_dataset_beside_a_dated_one_is_a_reference(orders_source, customers_source, message):
    sources = (
        ViewSource(dataset="orders", **orders_source),
        ViewSource(dataset="customers", **customers_source),
    )
    dated = view(time="at", columns=(ID, AT), sources=sources)
    datasets = {"orders": orders(), "customers": dataset()}
    if not message:
        check_view_sources(dated, datasets, has_build=True)
        return
    with pytest.raises(DeclarationError, match=message):
        check_view_sources(dated, datasets, has_build=True)


def test_view_of_several_datasets_needs_build():
    dated = view(
        time="at", columns=(ID, AT), sources=(ViewSource(dataset="customers"), ViewSource(dataset="orders"))
    )
    partitioned = {
        "source": FileSource(path="{partition}.csv"),
        "whole": False,
        "first_partition": date(2026, 1, 1),
    }
    datasets = {name: dataset(name=name, columns=(ID, AT), **partitioned) for name in ("customers", "orders")}
    check_view_sources(dated, datasets, has_build=True)
    with pytest.raises(DeclarationError, match="build: a view of several datasets needs this function"):
        check_view_sources(dated, datasets, has_build=False)
