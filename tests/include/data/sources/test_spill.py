from __future__ import annotations

import pyarrow as pa

from include.data.sources.spill import Spill


def test_tables_are_read_again_in_their_order():
    with Spill() as spill:
        for start in (0, 3):
            spill.write(pa.table({"number": range(start, start + 3)}))
        spill.write(pa.table({"number": pa.array([], pa.int64())}))
        assert pa.concat_tables(spill.read())["number"].to_pylist() == list(range(6))


def test_spill_without_rows_has_no_table():
    with Spill() as spill:
        assert list(spill.read()) == []
