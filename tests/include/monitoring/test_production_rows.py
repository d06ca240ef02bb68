from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

from include.monitoring import production_rows
from include.monitoring.production_rows import newest_rows
from tests.include.monitoring.test_windows import NOW, SELECTION, USE_CASE, lake, log, publish, row

__all__ = ["lake"]
SNAPSHOT = SimpleNamespace(specification=SimpleNamespace(selection=SELECTION))


def read(database, lake, snapshot=SNAPSHOT):
    with database.connect() as connection:
        return newest_rows(connection, lake, USE_CASE, snapshot, 1)


def test_newest_requests_are_read_before_features(database, lake, monkeypatch):
    assert read(database, lake) is None
    publish(lake, [NOW.date()])
    rows = read(database, lake)
    assert (rows.source, rows.frame["carrier"].tolist()) == ("newest rows of the features", ["B6"])
    log(database, *(row(number) for number in range(5)))
    rows = read(database, lake)
    assert rows.source == "rows of the newest requests"
    assert set(rows.frame["distance"]) == {100, 101, 102, 103, 104}
    monkeypatch.setattr(production_rows, "MAX_REQUESTS", 2)
    assert len(read(database, lake).frame) == 2


def test_personal_features_are_left_out(database, lake):
    log(database, row(1))
    columns = SELECTION.columns | {
        "carrier": SELECTION.columns["carrier"].model_copy(update={"personal": True})
    }
    personal = SimpleNamespace(specification=SimpleNamespace(selection=replace(SELECTION, columns=columns)))
    assert list(read(database, lake, personal).frame) == ["distance"]
