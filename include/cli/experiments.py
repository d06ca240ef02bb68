"""`airworthy experiments`: trainings of one use case side by side."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated

from typer import Argument, Option, Typer

from include.cli.options import AsJson, Model
from include.cli.output import print_json, print_table, print_text

if TYPE_CHECKING:
    from collections.abc import Sequence

    from include.declarations import UseCase
    from include.modeling.experiments import MetricFigures, TrainingSummary

SHOWN_ID = 8

app = Typer(help="Compare experiments and other trainings.", no_args_is_help=True)


# A command beside the first one would need no callback: Typer runs a single command without its name.
@app.callback()
def experiments() -> None:
    """Compare experiments and other trainings."""


@app.command()
def compare(
    model: Model,
    runs: Annotated[
        list[str] | None,
        Argument(metavar="[RUN]...", help="Runs of MLflow or Airflow; default: the newest experiments."),
    ] = None,
    newest: Annotated[int, Option(min=1, help="How many experiments without RUN.")] = 5,
    *,
    as_json: AsJson = False,
) -> None:
    """
    Show trainings side by side: parameters, features, days, metrics with intervals, gain on the champion.

    [bold]Examples[/bold]
      airworthy experiments compare delay_band
      airworthy experiments compare delay_band manual__2026-05-03T12:00:00+00:00 4f1c… --json
    """
    from include.catalog import catalog
    from include.modeling.experiments import compare_runs
    from include.modeling.registry.registry import Registry
    from include.settings import settings

    use_case = catalog().use_cases[model]
    summaries = compare_runs(Registry(settings().mlflow_uri), use_case, runs or (), newest=newest)
    if as_json:
        print_json(summaries)
        return
    columns = ["", *(summary.run_id[:SHOWN_ID] for summary in summaries)]
    print_table(f"{model}: trainings", columns, comparison_rows(use_case, summaries))
    print_text("Gains on different champions or test days cannot be compared with each other.")


def comparison_rows(use_case: UseCase, summaries: Sequence[TrainingSummary]) -> list[list[str]]:
    """Return the rows of the table: a name, and its text for each training."""
    rows = [
        ["run", *(summary.dag_run for summary in summaries)],
        ["kind", *("experiment" if summary.is_experiment else "training" for summary in summaries)],
        ["days", *(" to ".join(summary.days) for summary in summaries)],
        ["features", *(_describe_features(use_case, summary.features) for summary in summaries)],
        ["parameters", *(_describe_parameters(summary) for summary in summaries)],
        ["training rows", *(f"{summary.rows.get('train', 0):,}" for summary in summaries)],
        ["test rows", *(f"{summary.rows.get('test', 0):,}" for summary in summaries)],
    ]
    names: dict[str, None] = {use_case.metric: None}
    for summary in summaries:
        names |= dict.fromkeys(summary.metrics)
    for name in names:
        rows.append([name, *(_describe_metric(summary.metrics.get(name)) for summary in summaries)])
    rows.append([f"gain in {use_case.metric}", *(_describe_gain(summary) for summary in summaries)])
    rows.append(["gates", *(_describe_gates(summary) for summary in summaries)])
    return rows


def _describe_features(use_case: UseCase, features: Sequence[str]) -> str:
    """Return how the features differ from those that are declared."""
    if not features:
        return "unknown"
    removed = [f"-{name}" for name in use_case.features if name not in features]
    added = [f"+{name}" for name in features if name not in use_case.features]
    return f"{len(features)}: {' '.join([*removed, *added]) or 'as declared'}"


def _describe_parameters(summary: TrainingSummary) -> str:
    return (
        ", ".join(f"{name}={json.dumps(value)}" for name, value in summary.parameters.items()) or "defaults"
    )


def _describe_metric(figures: MetricFigures | None) -> str:
    if figures is None:
        return ""
    interval = f" ({figures.interval[0]:.4f} to {figures.interval[1]:.4f})" if figures.interval else ""
    return f"{figures.value:.4f}{interval}"


def _describe_gain(summary: TrainingSummary) -> str:
    if summary.gain is None:
        return "no champion" if summary.champion is None else f"not compared with champion {summary.champion}"
    gain = summary.gain
    return f"{gain.value:+.4f} ({gain.lower:+.4f} to {gain.upper:+.4f}) on champion {summary.champion}"


def _describe_gates(summary: TrainingSummary) -> str:
    return summary.conclusion + (f": {', '.join(summary.failed)}" if summary.failed else "")
