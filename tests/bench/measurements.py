"""The measurements by name, in the order in which they run."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.bench.backfill import backfill_partitions_per_minute
from tests.bench.calibrated import calibration_false_alarm_rate
from tests.bench.demo import RECORD, demo_seconds
from tests.bench.estimates import estimate_error
from tests.bench.ingestion import ingest_peak_memory_mb, ingest_vs_duckdb_copy_ratio
from tests.bench.libraries import drift_vs_evidently_ratio, gate_vs_gx_ratio
from tests.bench.lifecycle import lifecycle_overhead_ratio
from tests.bench.parsing import parse_ms_per_use_case, parse_vs_bare_airflow_ratio
from tests.bench.planted_faults import planted_faults
from tests.bench.promotions import false_promotion_rate
from tests.bench.quiet_year import quiet_year_false_alarms
from tests.bench.rollouts import canary_false_alarm_rate, canary_requests_exposed
from tests.bench.scoring import (
    batch_scoring_vs_model_ratio,
    drift_peak_memory_mb,
    evaluation_vs_scoring_ratio,
)
from tests.bench.serving import (
    canary_cost_p50_ratio,
    gateway_added_ms_p50,
    gateway_vs_mlflow_serve_p99_ratio,
    gateway_vs_mlflow_serve_throughput_ratio,
)

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.bench.figures import Figure
    from tests.bench.rig import Rig

MEASUREMENTS: dict[str, Callable[[Rig], Figure]] = {
    measure.__name__: measure
    for measure in (
        lifecycle_overhead_ratio,
        gateway_added_ms_p50,
        canary_cost_p50_ratio,
        gateway_vs_mlflow_serve_throughput_ratio,
        gateway_vs_mlflow_serve_p99_ratio,
        evaluation_vs_scoring_ratio,
        batch_scoring_vs_model_ratio,
        backfill_partitions_per_minute,
        parse_vs_bare_airflow_ratio,
        parse_ms_per_use_case,
        gate_vs_gx_ratio,
        false_promotion_rate,
        calibration_false_alarm_rate,
        canary_false_alarm_rate,
        canary_requests_exposed,
        ingest_vs_duckdb_copy_ratio,
        ingest_peak_memory_mb,
        drift_vs_evidently_ratio,
        drift_peak_memory_mb,
        estimate_error,
        planted_faults,
        quiet_year_false_alarms,
        demo_seconds,
    )
}


# It takes a quarter of an hour.
BY_NAME_ONLY = frozenset({quiet_year_false_alarms.__name__})


def default_names(home: Path) -> list[str]:
    """
    Return the measurements that run by default.

    They are all but those of `BY_NAME_ONLY`, and the demo only if `home` has a record of one.
    """
    excluded = BY_NAME_ONLY if (home / RECORD).exists() else {*BY_NAME_ONLY, demo_seconds.__name__}
    return [name for name in MEASUREMENTS if name not in excluded]
