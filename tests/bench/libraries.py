"""The cost of the checks in multiples of the libraries that they call."""

from __future__ import annotations

import statistics
import time
from datetime import date
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pyarrow as pa

from include.declarations import Column
from tests.bench.figures import Figure

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.bench.rig import Rig

TURNS = 3
DAY = date(2013, 7, 1)
GATE_ROWS = 1_000_000
DRIFT_ROWS = 1_000_000
DRIFT_NUMBERS = 16
DRIFT_KINDS = 4


def gate_vs_gx_ratio(_: Rig) -> Figure:
    """Compare the gate of staged rows with Great Expectations, called bare on the same rows as a frame."""
    from include.data.reading.table import read_frame
    from include.data.validation.batch import Batch
    from include.data.validation.runner import PartitionRules, validate_partition

    columns = _columns()
    frame = _make_frame(GATE_ROWS)
    table = read_frame(frame, columns).append_column("_airworthy_day", pa.array(frame["_airworthy_day"]))
    checks = _bare_expectations(columns)
    rules = PartitionRules(tuple(columns), ("id",), (1, 2 * GATE_ROWS), quarantine_limit=0.01)

    def validate_rows() -> None:
        report = validate_partition(Batch.of(table, [DAY]), rules)
        report.raise_if_failed("bench")

    gate, bare = _measure_in_turns(validate_rows, lambda: _great_expectations(frame, checks))
    return Figure(
        "gate_vs_gx_ratio",
        gate / bare,
        "ratio",
        "Great Expectations alone",
        f"{GATE_ROWS:,} rows, {len(checks)} expectations: {gate:.2f} s against {bare:.2f} s, median",
    )


def drift_vs_evidently_ratio(_: Rig) -> Figure:
    """Compare the drift verdicts of all rows with Evidently's, by the same distances of the same columns."""
    from include.monitoring import drift

    old = _make_columns(DRIFT_ROWS, seed=1)
    new = _make_columns(DRIFT_ROWS, seed=2)
    columns = [Column(name=f"number_{number}", dtype="number") for number in range(DRIFT_NUMBERS)]
    columns += [Column(name=f"kind_{number}", dtype="string") for number in range(DRIFT_KINDS)]

    def judge() -> None:
        drift.judge_columns(drift.measure_columns(old, new, columns), 0.01, {})

    # Evidently takes a minute, and is called once.
    judge()
    check = statistics.median(_measure_seconds(judge) for _ in range(TURNS))
    bare = _measure_seconds(lambda: _evidently(old, new, columns))
    return Figure(
        "drift_vs_evidently_ratio",
        check / bare,
        "ratio",
        "Evidently's DataDriftPreset alone",
        f"two frames of {DRIFT_ROWS:,} rows and {len(columns)} columns, without pages: {check:.2f} s "
        f"(median of {TURNS}) against {bare:.1f} s",
    )


def _measure_seconds(action: Callable[[], Any]) -> float:
    began = time.perf_counter()
    action()
    return time.perf_counter() - began


def _make_columns(rows: int, seed: int) -> pd.DataFrame:
    random = np.random.default_rng(seed)
    values: dict[str, Any] = {f"number_{number}": random.normal(size=rows) for number in range(DRIFT_NUMBERS)}
    kinds = np.array(["a", "b", "c", "d"], dtype=object)
    values |= {f"kind_{number}": random.choice(kinds, rows) for number in range(DRIFT_KINDS)}
    return pd.DataFrame(values)


def _measure_in_turns(first: Callable[[], Any], second: Callable[[], Any]) -> tuple[float, float]:
    """Return the median seconds of each; the first turn warms up and is not counted."""
    seconds: list[list[float]] = [[], []]
    for turn in range(TURNS + 1):
        for side, action in enumerate((first, second)):
            taken = _measure_seconds(action)
            if turn:
                seconds[side].append(taken)
    return statistics.median(seconds[0]), statistics.median(seconds[1])


def _columns() -> list[Column]:
    numbers = [
        Column(name=f"number_{number}", dtype="number", minimum=-1_000, maximum=1_000) for number in range(6)
    ]
    kinds = [Column(name=f"kind_{number}", dtype="string", allowed=("a", "b", "c")) for number in range(2)]
    return [Column(name="id", dtype="string"), *numbers, *kinds]


def _make_frame(rows: int, seed: int = 0) -> pd.DataFrame:
    random = np.random.default_rng(seed)
    values: dict[str, Any] = {
        "_airworthy_day": str(DAY),
        "id": np.char.add("f", np.arange(rows).astype(str)).astype(object),
    }
    values |= {f"number_{number}": random.normal(size=rows) for number in range(6)}
    values |= {
        f"kind_{number}": random.choice(np.array(["a", "b", "c"], dtype=object), rows) for number in range(2)
    }
    return pd.DataFrame(values)


def _bare_expectations(columns: list[Column]) -> list[Any]:
    """Return the expectations that say the same as the declaration."""
    import great_expectations.expectations as gxe

    from include.data.validation.suites import row_expectations

    return [
        *[check.expectation for check in row_expectations(columns, ("id",))],
        gxe.ExpectCompoundColumnsToBeUnique(
            column_list=["_airworthy_day", "id"], ignore_row_if="any_value_is_missing"
        ),
        gxe.ExpectColumnValuesToNotBeNull(column="_airworthy_day"),
        gxe.ExpectColumnValuesToBeInSet(column="_airworthy_day", value_set=[str(DAY)]),
    ]


def _great_expectations(frame: pd.DataFrame, checks: list[Any]) -> None:
    """Validate the frame as the documentation of Great Expectations does."""
    import great_expectations as gx
    from great_expectations.data_context.types.base import ProgressBarsConfig

    context = gx.get_context(mode="ephemeral")
    context.variables.progress_bars = ProgressBarsConfig(globally=False)
    asset = context.data_sources.add_pandas("frame").add_dataframe_asset("rows")
    batch = asset.add_batch_definition_whole_dataframe("all").get_batch({"dataframe": frame})
    result = batch.validate(gx.ExpectationSuite(name="bare", expectations=checks), result_format="BASIC")
    assert result.success


def _evidently(old: pd.DataFrame, new: pd.DataFrame, columns: list[Column]) -> None:
    from evidently import DataDefinition, Dataset, Report
    from evidently.presets import DataDriftPreset

    numbers = [column.name for column in columns if column.dtype == "number"]
    kinds = [column.name for column in columns if column.dtype == "string"]
    definition = DataDefinition(numerical_columns=numbers, categorical_columns=kinds)
    preset = DataDriftPreset(num_method="wasserstein", cat_method="jensenshannon", include_tests=False)
    frames = [Dataset.from_pandas(frame, definition) for frame in (new, old)]
    Report([preset]).run(*frames).dict()
