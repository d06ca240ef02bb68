"""Use cases for the measurements: `air_time` under another name, promoted after one request."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

# Large first steps: at 2 % the wait for one request would dominate the measurement.
STEPS = (25, 50, 75, 100)
MODULE = '''"""air_time for the measurements: no bake, and an analysis after one request."""

from __future__ import annotations

from datetime import timedelta

from include.declarations import Improvement, Rollout, Threshold
from include.use_cases import air_time

USE_CASE = air_time.USE_CASE.model_copy(
    update={{
        "name": "{name}",
        "gates": (Threshold(metric="mae", maximum=60), Improvement(metric="mae", severity="info")),
        "rollout": Rollout(
            steps={steps},
            bake=timedelta(0),
            patience=timedelta(minutes=3),
            minimum_requests=1,
            maximum_error_rate=0.99,
            maximum_latency_ratio=1000,
            maximum_prediction_shift=0.99,
            # A measured canary ends as a rollback does.
            freeze_after=1_000,
        ),
        "slo": air_time.USE_CASE.slo.model_copy(update={{"latency_p99_ms": 60_000.0}}),
    }}
)
build_model = air_time.build_model
'''


def declare(name: str, project: Path) -> None:
    """Add one use case to the project in the folder `project`."""
    (project / "include" / "use_cases" / f"{name}.py").write_text(MODULE.format(name=name, steps=STEPS))
