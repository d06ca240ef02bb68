"""The cost of an ingestion from a CSV file to a published partition: speed and memory."""

from __future__ import annotations

import resource
import subprocess
import sys
import tempfile
import time
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
from pyarrow import csv

from include.declarations import Column, Dataset, FileSource
from tests.bench.figures import Figure

if TYPE_CHECKING:
    from tests.bench.rig import Rig

DAY = date(2013, 7, 1)
COPY_ROWS = 1_000_000
PEAK_ROWS = 10_000_000
BLOCK_ROWS = 100_000
N_NUMBERS = 12
N_KINDS = 6
KINDS = ("a", "b", "c")
TURNS = 3
PEAK_LIMIT_MB = 2048
# A bench of a few rows is a rehearsal: the child takes the number as its argument.
CHILD = "from tests.bench.ingestion import run_child; run_child()"


def ingest_vs_duckdb_copy_ratio(_: Rig) -> Figure:
    """Compare rows a second from extraction to publication with DuckDB's bare COPY to Parquet."""
    import duckdb

    with tempfile.TemporaryDirectory() as folder:
        landing = write_csv(Path(folder), COPY_ROWS)
        copies = []
        ingestions = []
        for turn in range(TURNS):
            began = time.perf_counter()
            duckdb.sql(f"COPY (FROM read_csv('{landing}')) TO '{folder}/{turn}.parquet' (FORMAT parquet)")
            copies.append(time.perf_counter() - began)
            ingestions.append(ingest(Path(folder), f"lake-{turn}"))
    copy = min(copies)
    ingestion = min(ingestions)
    return Figure(
        "ingest_vs_duckdb_copy_ratio",
        copy / ingestion,
        "ratio",
        "DuckDB's COPY … TO parquet of the same CSV; at least 0.3",
        f"{COPY_ROWS:,} rows of 20 columns: {ingestion:.1f} s against {copy:.1f} s, best of {TURNS}",
    )


def ingest_peak_memory_mb(_: Rig) -> Figure:
    """Measure the peak memory of a process that ingests ten million rows, in MB."""
    with tempfile.TemporaryDirectory() as folder:
        write_csv(Path(folder), PEAK_ROWS)
        child = subprocess.run(
            [sys.executable, "-c", CHILD, folder], capture_output=True, text=True, check=True
        )
    seconds, peak = child.stdout.split()[-2:]
    return Figure(
        "ingest_peak_memory_mb",
        float(peak),
        "MB",
        f"at most {PEAK_LIMIT_MB}",
        f"{PEAK_ROWS:,} rows of 20 columns, extract, validate and publish in {float(seconds):.0f} s",
    )


def run_child() -> None:
    """Ingest the file in the folder of the first argument; print the seconds and the peak memory in MB."""
    seconds = ingest(Path(sys.argv[1]), "lake")
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    sys.stdout.write(f"{seconds} {peak}\n")


def ingest(folder: Path, lake_name: str) -> float:
    """Extract, validate and publish the file, as the tasks do; return the seconds."""
    from include.data.lake.delta_tables import Lake
    from include.data.quality_gate import accepted_schema, validate
    from include.data.sources.files import Landing
    from include.storage.staging import Staging, staging_path

    lake = Lake(str(folder / lake_name))
    staging = Staging(lake.uri)
    began = time.perf_counter()
    extract = Landing(str(folder), max_bytes=8 << 30).read(DATASET, [DAY])
    extracted, _ = staging.write_tables("bench", "extracted", extract.tables)
    accepted = staging_path("bench", "accepted")
    with staging.writer(accepted, accepted_schema(DATASET, [DAY])) as write:
        report = validate(DATASET, staging.open(extracted), [DAY], lake=lake, write_accepted=write)
        report.raise_if_failed(DATASET.name)
    lake.publish(DATASET.name, staging.open(accepted), [DAY], metadata={})
    return time.perf_counter() - began


def write_csv(folder: Path, n_rows: int) -> Path:
    """Write the file of the day, one block after the other, and return its path."""
    path = folder / "bench" / f"{DAY}.csv"
    path.parent.mkdir()
    random = np.random.default_rng(0)
    first = _make_block(0, random)
    with csv.CSVWriter(str(path), first.schema) as file:
        for start in range(0, n_rows, BLOCK_ROWS):
            file.write_table(_make_block(start, random))
    return path


def _make_block(start: int, random: np.random.Generator) -> pa.Table:
    numbers = np.arange(start, start + BLOCK_ROWS)
    columns = {"id": pa.array(np.char.add("f", numbers.astype(str))), "count": pa.array(numbers)}
    for number in range(N_NUMBERS):
        columns[f"number_{number}"] = pa.array(random.normal(size=BLOCK_ROWS).round(4))
    for kind in range(N_KINDS):
        columns[f"kind_{kind}"] = pa.array(random.choice(np.array(KINDS), BLOCK_ROWS))
    return pa.table(columns)


DATASET = Dataset(
    name="bench",
    owner="bench",
    description="Rows of a file.",
    source=FileSource(path="bench/{partition}.csv"),
    columns=(
        Column(name="id", dtype="string"),
        Column(name="count", dtype="integer", minimum=0),
        *(
            Column(name=f"number_{number}", dtype="number", minimum=-1_000, maximum=1_000)
            for number in range(N_NUMBERS)
        ),
        *(Column(name=f"kind_{kind}", dtype="string", allowed=KINDS) for kind in range(N_KINDS)),
    ),
    key=("id",),
    first_partition=DAY,
    volume=(1, 100_000_000),
)
