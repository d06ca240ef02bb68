"""The gates on one page: Markdown for people, JSON for whatever counts."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import TYPE_CHECKING

from include.modeling.gates.verdict import failed, inconclusive

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from include.declarations import UseCase
    from include.modeling.evaluation.evidence import Evidence
    from include.modeling.gates.verdict import Verdict

MARKDOWN, JSON = "gates.md", "gates.json"
SIGNS = {"pass": "✓ pass", "fail": "✗ fail", "inconclusive": "? inconclusive"}
ORDER = {"fail": 0, "inconclusive": 1, "pass": 2}


def write_report_files(
    folder: Path, use_case: UseCase, evidence: Evidence | None, verdicts: Sequence[Verdict]
) -> list[Path]:
    """Write both forms of the report; return where they are."""
    page, data = folder / MARKDOWN, folder / JSON
    page.write_text(report_markdown(use_case, evidence, verdicts))
    measured = {} if evidence is None else evidence.model_dump(mode="json")["measured"]
    content = {
        "use_case": use_case.name,
        "conclusion": conclusion(verdicts),
        "verdicts": [asdict(verdict) for verdict in verdicts],
        "measured": measured,
    }
    data.write_text(json.dumps(content, indent=1, allow_nan=False))
    return [page, data]


def conclusion(verdicts: Sequence[Verdict]) -> str:
    """Return `refused`, `undecided` or `passed`."""
    if failed(verdicts):
        return "refused"
    return "undecided" if inconclusive(verdicts) else "passed"


def report_markdown(use_case: UseCase, evidence: Evidence | None, verdicts: Sequence[Verdict]) -> str:
    """Return one page: the conclusion, every gate with its reason, and the figures behind them."""
    said = {
        "refused": "**Refused**: a blocking gate said no; the champion stays.",
        "undecided": "**Undecided**: no blocking gate said no, but one could not tell. A person decides.",
        "passed": "**Passed** every blocking gate.",
    }[conclusion(verdicts)]
    lines = [
        f"# {use_case.name}: gates",
        "",
        said,
        "",
        "| gate | verdict | severity | why |",
        "|---|---|---|---|",
    ]
    ranked = sorted(verdicts, key=lambda v: (ORDER[v.outcome], v.severity != "block"))
    lines += [f"| {v.gate} | {SIGNS[v.outcome]} | {v.severity} | {_cell(v.reason)} |" for v in ranked]
    if evidence is not None:
        lines += ["", *_metrics(evidence), "", *_worth(use_case, evidence)]
    return "\n".join(lines) + "\n"


def _metrics(evidence: Evidence) -> list[str]:
    champion = evidence.champion
    heads = [*evidence.metrics, "95 % interval of the test", "naive forecast"]
    heads += [f"champion {champion.version} on the test rows"] if champion else []
    lines = ["| metric | " + " | ".join(heads) + " |", "|---" * (len(heads) + 1) + "|"]
    for metric in sorted({name for values in evidence.metrics.values() for name in values}):
        cells = [_number(values.get(metric)) for values in evidence.metrics.values()]
        interval = evidence.intervals.get(metric)
        cells.append(f"{interval[0]:.4f} to {interval[1]:.4f}" if interval else "")
        cells.append(_number(evidence.baseline.get(metric)))
        cells += [_number(champion.metrics.get(metric))] if champion else []
        lines.append(f"| {metric} | " + " | ".join(cells) + " |")
    rows = ", ".join(
        f"{count:,} {name}"
        + (f" (measured on {evidence.sampled[name]:,})" if name in evidence.sampled else "")
        for name, count in evidence.rows.items()
    )
    return [*lines, "", f"Rows: {rows}; {evidence.days} test days."]


def _worth(use_case: UseCase, evidence: Evidence) -> list[str]:
    slots = ", ".join(use_case.baseline_by) or "nothing, the same for all rows"
    lines = []
    if evidence.skill is not None:
        lines.append(
            f"Skill against the naive forecast (by {slots}): {evidence.skill:.1%} of {use_case.metric}."
        )
    found = evidence.costs
    if found is not None:
        at = "" if found.threshold is None else f", acting from a probability of {found.threshold:.3f} on"
        lines.append(
            f"Cost per 1,000 test rows{at}: {found.model:,.2f} {found.currency} with the model, "
            f"{found.baseline:,.2f} with the naive forecast, {found.without:,.2f} with neither."
        )
    return lines


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.4f}"


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")
