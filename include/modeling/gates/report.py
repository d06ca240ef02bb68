"""Report of the gates: one page of Markdown, and the same figures as JSON."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from jinja2 import Environment
from pydantic_core import to_jsonable_python

from include.modeling.evaluation.bootstrap import describe_units
from include.modeling.gates.base import failed, inconclusive

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from include.declarations import UseCase
    from include.modeling.evaluation.evidence import Evidence
    from include.modeling.gates.base import Verdict

MARKDOWN = "gates.md"
JSON = "gates.json"
SIGNS = {"pass": "✓ pass", "fail": "✗ fail", "inconclusive": "? inconclusive"}
RANKS = {"fail": 0, "inconclusive": 1, "pass": 2}
SUMMARIES = {
    "refused": "**Refused**: a blocking gate failed; the champion stays.",
    "undecided": "**Undecided**: no blocking gate failed, but one is inconclusive. A person decides.",
    "passed": "**Passed** every blocking gate.",
}
PAGE = """\
# {{ use_case.name }}: gates

{{ summary }}

| gate | verdict | severity | why |
|---|---|---|---|
{% for verdict in verdicts %}
| {{ verdict.gate }} | {{ signs[verdict.outcome] }} | {{ verdict.severity }} | {{ verdict.reason | cell }} |
{% endfor %}
{% if evidence %}

| {{ header | join(" | ") }} |
{{ "|---" * header | length }}|
{% for row in metric_rows %}
| {{ row | join(" | ") }} |
{% endfor %}

Rows: {{ split_sizes | join(", ") }}; {{ units }}.

{% if evidence.skill is not none %}
Skill against the baseline (by {{ slots }}): {{ "{:.1%}".format(evidence.skill) }} of {{ use_case.metric }}.
{% endif %}
{% if evidence.costs %}
{{ costs }}
{% endif %}
{% if evidence.suspected_labels and evidence.suspected_labels.count %}

Suspected label errors: {{ "{:,}".format(evidence.suspected_labels.count) }} of \
{{ "{:,}".format(evidence.suspected_labels.rows) }} test rows, the first in `suspected_labels.csv` of the run.
{% endif %}
{% endif %}
"""


def escape_cell(text: str) -> str:
    """Return text that does not break a row of a Markdown table."""
    return text.replace("|", "\\|").replace("\n", " ")


# Markdown has nothing to escape as HTML.
_ENVIRONMENT = Environment(trim_blocks=True, keep_trailing_newline=True)  # noqa: S701
_ENVIRONMENT.filters["cell"] = escape_cell
_TEMPLATE = _ENVIRONMENT.from_string(PAGE)


def write_report_files(
    folder: Path, use_case: UseCase, evidence: Evidence | None, verdicts: Sequence[Verdict]
) -> list[Path]:
    """Write both forms of the report into `folder`; return their paths."""
    page = folder / MARKDOWN
    page.write_text(report_markdown(use_case, evidence, verdicts))
    content = {
        "use_case": use_case.name,
        "conclusion": conclusion(verdicts),
        "verdicts": verdicts,
        "measurements": evidence.measurements if evidence else {},
    }
    data = folder / JSON
    data.write_text(json.dumps(to_jsonable_python(content), indent=1, allow_nan=False))
    return [page, data]


def conclusion(verdicts: Sequence[Verdict]) -> str:
    """Return `refused`, `undecided` or `passed`."""
    if failed(verdicts):
        return "refused"
    return "undecided" if inconclusive(verdicts) else "passed"


def report_markdown(use_case: UseCase, evidence: Evidence | None, verdicts: Sequence[Verdict]) -> str:
    """Return one page: the conclusion, every gate with its reason, and the figures behind them."""
    ranked = sorted(verdicts, key=lambda verdict: (RANKS[verdict.outcome], verdict.severity != "block"))
    values: dict[str, Any] = {
        "use_case": use_case,
        "evidence": evidence,
        "verdicts": ranked,
        "signs": SIGNS,
        "summary": SUMMARIES[conclusion(verdicts)],
        "slots": ", ".join(use_case.baseline_by) or "nothing, the same for all rows",
    }
    if evidence is not None:
        values |= {
            "header": _metric_header(evidence),
            "metric_rows": _metric_rows(evidence),
            "split_sizes": _split_sizes(evidence),
            "units": describe_units(evidence.units, evidence.unit),
            "costs": describe_costs(evidence),
        }
    return _TEMPLATE.render(values)


def _metric_header(evidence: Evidence) -> list[str]:
    header = ["metric", *evidence.metrics, "95 % interval of the test", "baseline"]
    if evidence.champion:
        header.append(f"champion {evidence.champion.version} on the test rows")
    return header


def _metric_rows(evidence: Evidence) -> list[list[str]]:
    names: set[str] = set()
    for values in evidence.metrics.values():
        names |= values.keys()
    rows = []
    for name in sorted(names):
        row = [name, *(_number(values.get(name)) for values in evidence.metrics.values())]
        interval = evidence.intervals.get(name)
        row.append(f"{interval[0]:.4f} to {interval[1]:.4f}" if interval else "")
        row.append(_number(evidence.baseline.get(name)))
        if evidence.champion:
            row.append(_number(evidence.champion.metrics.get(name)))
        rows.append(row)
    return rows


def _split_sizes(evidence: Evidence) -> list[str]:
    sizes = []
    for name, count in evidence.rows.items():
        size = f"{count:,} {name}"
        if name in evidence.sampled:
            size += f" (measured on {evidence.sampled[name]:,})"
        sizes.append(size)
    return sizes


def describe_costs(evidence: Evidence) -> str:
    """Return the rule of the decisions and its costs in words; "" without a cost."""
    costs = evidence.costs
    if costs is None:
        return ""
    rule = ""
    if costs.threshold is not None:
        rule = f", acting from a probability of {costs.threshold:.3f} on, chosen on {costs.chosen_on} rows"
    elif costs.expected_costs:
        rule = ", deciding for the class of the least expected cost"
    interval = ""
    if costs.model_lower is not None and costs.model_upper is not None:
        interval = f" ({costs.confidence:.0%}: {costs.model_lower:,.2f} to {costs.model_upper:,.2f})"
    return (
        f"Cost per 1,000 test rows{rule}: {costs.model:,.2f} {costs.currency} with the model{interval}, "
        f"{costs.baseline:,.2f} with the baseline, {costs.without:,.2f} with neither."
    )


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.4f}"
