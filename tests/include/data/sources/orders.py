"""A dataset of orders in PostgreSQL, shared by the tests of queries."""

from __future__ import annotations

from datetime import date, timedelta

from include.declarations import Column, DatabaseSource, Dataset

DAYS = [date(2013, 7, number) for number in range(1, 32)]
QUERY = (
    "SELECT id, amount, paid, placed_at, changed_at FROM orders "
    "WHERE placed_at >= :start AND placed_at < :end"
)


def orders(query=QUERY, watermark="changed_at", granularity="day", settle=timedelta(0), **changes):
    values = {
        "name": "orders", "owner": "test", "description": "Orders.", "key": ("id",),
        "granularity": granularity, "first_partition": DAYS[0],
        "source": DatabaseSource(conn_id="shop", query=query, watermark=watermark, settle=settle),
        "columns": (
            Column(name="id", dtype="string"),
            Column(name="amount", dtype="number"),
            Column(name="paid", dtype="boolean"),
            Column(name="placed_at", dtype="timestamp"),
        ),
    }  # fmt: skip
    return Dataset(**values | changes)
