"""Error of the estimate of quality without labels, on the flights of 2013."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from include.modeling.evaluation.metrics import compute_metrics
from include.monitoring.quality.estimated import estimate_quality
from include.stack.demo import flights_feed
from include.use_cases.flight_delay import CATEGORIES, USE_CASE, build_model
from tests.bench.figures import Figure

if TYPE_CHECKING:
    import numpy.typing as npt

    from tests.bench.rig import Rig

    Values = npt.NDArray[np.float64]

WEATHER = {
    "temp": "temperature", "dewp": "dew_point", "humid": "humidity", "wind_speed": "wind", "precip": "rain",
    "pressure": "air_pressure", "visib": "visibility",
}  # fmt: skip
METRICS = ("roc_auc", "log_loss", "brier", "accuracy")
FIRST_MONTHS = 6
# As monitoring does, the labels of the four weeks before calibrate the probabilities.
CALIBRATION_WEEKS = 4


def estimate_error(_: Rig) -> Figure:
    """Return the mean error of the estimated ROC AUC of a week of flights, without its labels."""
    errors = measure_errors(read_flights())
    cells = [
        f"{metric} {np.mean(np.abs(values)):.3f} (largest {np.max(np.abs(values)):.3f}, mean difference "
        f"{np.mean(values):+.3f})"
        for metric, values in errors.items()
    ]
    how = (
        f"{len(errors['roc_auc'])} weeks from July to December, of a model of the flights from January to "
        f"June; mean absolute errors: {'; '.join(cells)}"
    )
    return Figure("estimate_error", float(np.mean(np.abs(errors["roc_auc"]))), "ROC AUC", "0", how)


def read_flights() -> pd.DataFrame:
    """Return the flights that arrived, with the weather at the origin two hours before they should leave."""
    folder = flights_feed.source_folder()
    flights = pd.read_csv(folder / "flights.csv.zip")
    weather = pd.read_csv(folder / "weather.csv")
    landed = flights.dropna(subset=["arr_delay"]).copy()
    landed["time_hour"] = pd.to_datetime(landed["time_hour"], utc=True)
    observed = weather[["origin", "time_hour", *WEATHER]].rename(columns=WEATHER)
    observed["time_hour"] = pd.to_datetime(observed["time_hour"], utc=True) + pd.Timedelta(hours=2)
    observed = observed.drop_duplicates(["origin", "time_hour"])
    rows = landed.merge(observed, on=["origin", "time_hour"], how="left")
    local = rows["time_hour"].dt.tz_convert("America/New_York")
    day = local.dt.tz_localize(None).dt.normalize()
    target = (rows["arr_delay"] > (USE_CASE.label.above or 0)).astype(np.float64)
    return rows.assign(weekday=local.dt.weekday, day=day, target=target).sort_values("day", ignore_index=True)


def measure_errors(rows: pd.DataFrame) -> dict[str, list[float]]:
    """Return estimate less label-based value, by metric, of each week after the first months."""
    features: list[Any] = [*USE_CASE.features]
    typed = rows.assign(**{name: rows[name].astype(str) for name in CATEGORIES})
    is_old = typed["day"].dt.month <= FIRST_MONTHS
    model = build_model().fit(typed.loc[is_old, features], typed.loc[is_old, "target"])
    new = typed[~is_old].reset_index(drop=True)
    predictions = model.predict_proba(new[features])[:, 1]
    target = new["target"].to_numpy(dtype=np.float64)
    weeks = ((new["day"] - new["day"].min()).dt.days // 7).to_numpy()
    errors: dict[str, list[float]] = {metric: [] for metric in METRICS}
    for week in range(CALIBRATION_WEEKS, int(weeks.max()) + 1):
        is_now = weeks == week
        is_before = (weeks < week) & (weeks >= week - CALIBRATION_WEEKS)
        calibration = (predictions[is_before], target[is_before])
        estimated = estimate_quality(USE_CASE, predictions[is_now], calibration)
        measured = compute_metrics(USE_CASE, predictions[is_now], target[is_now])
        for metric, values in errors.items():
            if metric in measured:
                values.append(estimated[metric] - measured[metric])
    return {metric: values for metric, values in errors.items() if values}
