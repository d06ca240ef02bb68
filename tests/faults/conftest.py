"""A proxy in front of the object store, and tables that are reached through it."""

from __future__ import annotations

from datetime import date
from typing import TYPE_CHECKING

import pandas as pd
import pytest

from include.data.lake.delta_tables import Lake
from tests.faults.proxy import Proxy

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.faults.store import ObjectStore

DAY = date(2013, 1, 1)
COMMIT = r"PUT .*_delta_log/\d+\.json"


@pytest.fixture
def proxy(object_store: ObjectStore) -> Iterator[Proxy]:
    """Return a proxy in front of the object store that injects the faults of a test."""
    with Proxy(object_store.endpoint) as proxy:
        yield proxy


@pytest.fixture
def lake_through(proxy: Proxy, object_store: ObjectStore) -> Callable[..., Lake]:
    """Return a function that opens one empty lake through the proxy, with other options."""
    address = object_store.address()

    def open_lake(**options: str) -> Lake:
        return Lake(address, object_store.options(proxy.uri, **options))

    return open_lake


@pytest.fixture
def rows() -> Callable[..., pd.DataFrame]:
    def make_rows(value: float = 1.0, day: date = DAY, count: int = 3) -> pd.DataFrame:
        names = [f"{day}/{number}" for number in range(count)]
        return pd.DataFrame({"id": names, "value": value, "_airworthy_day": day.isoformat()})

    return make_rows
