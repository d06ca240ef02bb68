"""`python -m tests.bench.batches VERB FOLDER ROWS`: batch scoring, the bare model, or a drift check."""

from __future__ import annotations

import resource
import sys
import time
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from include.catalog import catalog
from include.data.lake.delta_tables import Lake
from include.data.lake.partition_columns import DAY
from include.use_cases import air_time
from include.use_cases.air_time import USE_CASE

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    import pandas as pd

    from include.inference.model import ServedModel

FIRST = date(2013, 1, 1)
ROWS_PER_DAY = 500_000
TRAINING_ROWS = 100_000
BLOCK_ROWS = 100_000
CARRIERS = ("9E", "AA", "AS", "B6", "DL", "EV", "F9", "FL", "HA", "MQ", "OO", "UA", "US", "VX", "WN", "YV")
STATIONS = ("KEWR", "KJFK", "KLGA")
N_DESTINATIONS = 105


def prepare(folder: Path, n_rows: int) -> None:
    """Package a model, and publish rows of its features, one commit for each day."""
    from include.modeling.packaging.package import save_package

    random = np.random.default_rng(0)
    rows = make_block(0, TRAINING_ROWS, FIRST, random).to_pandas()
    minutes = rows["distance"] / 8 + random.normal(20, 5, len(rows))
    save_package(
        air_time.build_model().fit(rows[list(USE_CASE.features)], minutes), USE_CASE, rows, folder / "model"
    )
    lake = Lake(str(folder / "lake"))
    for day in days_of(n_rows):
        lake.publish(USE_CASE.feature_view, DayRows(day, min(ROWS_PER_DAY, n_rows)), [day], metadata={})


class DayRows:
    """The rows of one day, made one block after the other."""

    def __init__(self, day: date, n_rows: int) -> None:
        self.day = day
        self.n_rows = n_rows
        self.schema = make_block(0, 1, day, np.random.default_rng(0)).schema

    def batches(self, columns: Sequence[str] | None = None) -> Iterator[pa.RecordBatch]:
        """Yield the rows, or some columns of them."""
        random = np.random.default_rng(self.day.toordinal())
        for start in range(0, self.n_rows, BLOCK_ROWS):
            block = make_block(start, min(BLOCK_ROWS, self.n_rows - start), self.day, random)
            yield from (block if columns is None else block.select(list(columns))).to_batches()


def make_block(start: int, n_rows: int, day: date, random: np.random.Generator) -> pa.Table:
    """Return rows as `flight_features` has them, of the columns that the model and the spine need."""
    numbers = np.arange(start, start + n_rows).astype(str)
    stations = random.choice(np.array(STATIONS), n_rows)
    destinations = np.char.add("D", random.integers(0, N_DESTINATIONS, n_rows).astype(str))
    return pa.table(
        {
            "flight_id": np.char.add(f"{day}-", numbers),
            "station": stations,
            "scheduled_departure": pa.repeat(_noon(day), n_rows),
            "carrier": random.choice(np.array(CARRIERS), n_rows),
            "origin": np.char.lstrip(stations, "K"),
            "dest": destinations,
            "distance": random.integers(80, 5_000, n_rows),
            "hour": random.integers(5, 24, n_rows),
            "wind_speed": _with_gaps(random.gamma(3, 3, n_rows), random),
            "pressure": _with_gaps(random.normal(1015, 8, n_rows), random),
            DAY: np.full(n_rows, str(day)),
        }
    )


def days_of(n_rows: int) -> list[date]:
    """Return the days that `n_rows` rows are published in."""
    return [FIRST + timedelta(days=number) for number in range(-(-n_rows // ROWS_PER_DAY))]


def score(folder: Path, n_rows: int) -> Callable[[], object]:
    """Return the work of the scoring task: from the lake to staged predictions."""
    from include.data.feature_store.feature_rows import newest_versions
    from include.modeling.batch_scoring.scorer import BatchScorer
    from include.modeling.batch_scoring.stream import score_partitions
    from include.storage.staging import Staging

    selection = catalog().features_of(USE_CASE)
    lake = Lake(str(folder / "lake"))
    scorer = BatchScorer(USE_CASE, selection.spine, _model(folder), 1)
    versions = newest_versions(selection, lake)

    def work() -> object:
        tables = score_partitions(scorer, selection, lake, days_of(n_rows), versions=versions)
        return Staging(lake.uri).write_tables("bench", "predictions", tables)

    return work


def check(folder: Path, n_rows: int) -> Callable[[], object]:
    """Return the work of the task after it, which reads the staged predictions."""
    from include.modeling.batch_scoring.output_check import ExpectedOutput, check_output, column_types
    from include.modeling.batch_scoring.scorer import BatchScorer
    from include.storage.staging import Staging, staging_path

    scorer = BatchScorer(USE_CASE, catalog().spine_of(USE_CASE), _model(folder), 1)
    expected = ExpectedOutput(n_rows, column_types(scorer.schema), 1, USE_CASE.prediction_range)
    staged = Staging(str(folder / "lake")).open(staging_path("bench", "predictions"))
    return lambda: check_output(staged, expected).raise_if_failed("predictions")


def predict(folder: Path, n_rows: int) -> Callable[[], object]:
    """Return one call of the estimator for all rows, which are in memory."""
    frame: pd.DataFrame = Lake(str(folder / "lake")).read(
        USE_CASE.feature_view, days_of(n_rows), columns=list(USE_CASE.features)
    )
    estimator = _model(folder).estimator
    return lambda: estimator.predict(frame)


def drift(folder: Path, n_rows: int) -> Callable[[], object]:
    """Return the work of a drift check over a window of partitions, with its page."""
    from include.monitoring.drift import measure_drift
    from include.monitoring.window_rows import sample_inputs, scan_partitions
    from include.monitoring.windows import MAX_REQUESTS

    selection = catalog().features_of(USE_CASE)
    lake = Lake(str(folder / "lake"))
    window = (lake, USE_CASE, selection, days_of(n_rows))
    reference = make_block(0, TRAINING_ROWS, FIRST, np.random.default_rng(1)).to_pandas()

    def work() -> object:
        sample = sample_inputs(*window, limit=MAX_REQUESTS)
        columns = [selection.columns[name] for name in USE_CASE.features]
        parts = scan_partitions(*window)
        return measure_drift(reference, sample, columns=columns, policy=USE_CASE.drift, parts=parts)

    return work


def _model(folder: Path) -> ServedModel:
    from include.inference.model import load_unverified

    model = load_unverified(folder / "model")
    model.predict(make_block(0, 10, FIRST, np.random.default_rng(0)).to_pandas())
    return model


def _noon(day: date) -> pa.Scalar:
    moment = datetime(day.year, day.month, day.day, 12, tzinfo=UTC)
    return pa.scalar(moment, pa.timestamp("us", tz="UTC"))


def _with_gaps(values: np.ndarray[Any, Any], random: np.random.Generator) -> pa.Array:
    return pa.array(values, mask=random.random(len(values)) < 0.02)


VERBS = {"score": score, "check": check, "predict": predict, "drift": drift}


def main(verb: str, where: str, count: str) -> None:
    """Prepare the rows, or do the work and print seconds, CPU time and peak memory in MB."""
    if verb == "prepare":
        prepare(Path(where), int(count))
        return
    work = VERBS[verb](Path(where), int(count))
    began = time.perf_counter()
    began_cpu = time.process_time()
    work()
    seconds = time.perf_counter() - began
    cpu = time.process_time() - began_cpu
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    sys.stdout.write(f"{seconds} {cpu} {peak}\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
