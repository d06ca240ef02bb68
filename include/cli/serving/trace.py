"""`airworthy trace`: what happened to one request, from its caller to its training data."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

from typer import Argument, Typer

from include.cli.options import MODELS, AsJson
from include.cli.output import print_json, print_table, print_text

if TYPE_CHECKING:
    from include.governance.request_trace import RequestTrace

RECORD_COLUMNS = ("version", "role", "status", "ms", "features", "predictions", "decision")
MAX_SHOWN = 3

app = Typer()


@app.command(rich_help_panel=MODELS)
def trace(
    request: Annotated[
        str,
        Argument(
            metavar="REQUEST_ID", help="An X-Request-Id, the trace id of a traceparent, or the gateway's id."
        ),
    ],
    *,
    as_json: AsJson = False,
) -> None:
    """
    Show a request's caller, attempts, features, predictions, label and training data.

    [bold]Example[/bold]
      airworthy trace 7f0c2f9e
    """
    from include.cli.champion import connect_to_database
    from include.data.lake.delta_tables import Lake
    from include.governance.request_trace import trace_request
    from include.modeling.registry.registry import Registry
    from include.settings import settings

    lake = Lake(settings().lake_uri)
    with connect_to_database().connect() as connection:
        traces = trace_request(connection, lake, Registry(settings().mlflow_uri), request)
    if as_json:
        print_json({"request": request, "requests": [asdict(one_trace) for one_trace in traces]})
        return
    for number, one_trace in enumerate(traces, 1):
        _print_trace(one_trace, f"{request}, {number} of {len(traces)}")


def _print_trace(trace: RequestTrace, title: str) -> None:
    print_text(title)
    if trace.access is None:
        print_text("  not through the gateway")
    else:
        print_text("\n".join(f"  {line}" for line in describe_access(trace.access)))
    print_table("versions that were called", RECORD_COLUMNS, map(_record_row, trace.records))
    for label in trace.labels:
        print_text(f"label: {_short(label)}")
    if trace.training is not None:
        print_text(f"trained on: {_short(trace.training)}")
    for problem in trace.problems:
        print_text(f"not shown: {problem}")


def describe_access(access: dict[str, Any]) -> list[str]:
    """Return what the caller got, as lines of text."""
    caller = access["caller"] or "a caller without a token"
    at = access["received_at"].isoformat()
    target = f"{access['use_case']} {access['endpoint']}"
    lines = [
        f"{at} {caller} from {access['client']}, trace {access['trace_id']}",
        f"{target}: status {access['status']} after {access['latency_ms']:.1f} ms",
    ]
    if access["first_version"] is None:
        lines.append(f"no version was called; HAProxy ended it with {access['termination']}")
    elif access["retries"]:
        last = "none" if access["version"] is None else f"version {access['version']}"
        lines.append(
            f"version {access['first_version']} was called first, then {access['retries']} more attempts; "
            f"the last went to {last}"
        )
    return lines


def _record_row(record: dict[str, Any]) -> tuple[object, ...]:
    return (
        record["version"], record["role"], record["status"], f"{record['latency_ms']:.1f}",
        _short_list(record["inputs"]), _short_list(record["predictions"]),
        _short_list(record["decision"]),
    )  # fmt: skip


def _short(values: dict[str, Any]) -> str:
    return ", ".join(f"{name} {value}" for name, value in values.items())


def _short_list(values: list[Any] | None) -> str:
    shown = ", ".join(map(str, (values or [])[:MAX_SHOWN]))
    hidden = len(values or []) - MAX_SHOWN
    return f"{shown} and {hidden} more" if hidden > 0 else shown
