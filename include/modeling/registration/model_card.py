"""The model card of a version (Mitchell et al., 2019): its certificate and evidence, for people to read."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from include.certificates.certificate import EVIDENCE
from include.modeling.evaluation.evidence import Evidence
from include.modeling.explainability.importance import EXPLANATIONS
from include.modeling.gates import report

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path

    from include.certificates.certificate import Certificate
    from include.declarations import UseCase

MARKDOWN, HTML = "model_card.md", "model_card.html"
MOST_ITEMS = 30
_PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>{title}</title><style>
body {{ font: 15px/1.5 system-ui, sans-serif; max-width: 60em; margin: 2em auto; padding: 0 1em; }}
table {{ border-collapse: collapse; }}
td, th {{ border: 1px solid #ccc; padding: .2em .6em; text-align: left; }}
</style></head><body>
{body}
</body></html>
"""


def write_model_card(
    model: Path, about: Certificate, use_case: UseCase, version: int, folder: Path
) -> list[Path]:
    """Write the card of the verified model in the folder `model` into `folder`: Markdown, and HTML."""
    from markdown_it import MarkdownIt

    text = card_markdown(model, about, use_case, version)
    body = MarkdownIt("commonmark", {"html": False}).enable("table").render(text)
    pages = {MARKDOWN: text, HTML: _PAGE.format(title=f"{use_case.name} version {version}", body=body)}
    for name, content in pages.items():
        (folder / name).write_text(content)
    return [folder / name for name in pages]


def card_summary(about: Certificate, use_case: UseCase) -> str:
    """Return a few lines for the registry's page; the card itself lies in the run."""
    metric = about.metrics.get(use_case.metric)
    measured = "" if metric is None else f", {use_case.metric} {metric:.4f} on the test rows"
    warnings = [gate.gate for gate in about.gates if gate.outcome != "pass"]
    return (
        f"{use_case.description} Owner: {use_case.owner}{measured}. "
        f"{len(about.gates)} gates, not passed: {', '.join(warnings) or 'none'}. "
        f"Model card: `{HTML}` among the artifacts of run `{about.run_id}`."
    )


def card_markdown(model: Path, about: Certificate, use_case: UseCase, version: int) -> str:
    """Return the card as Markdown."""
    file = model / EVIDENCE / "evidence.json"
    evidence = Evidence.model_validate_json(file.read_bytes()) if file.exists() else None
    gates: Sequence[Any] = about.gates
    judged = report.report_markdown(use_case, evidence, gates).splitlines()[1:]
    sections = [
        [f"# {use_case.name} version {version}", "", use_case.description, "", *_identity(about, use_case)],
        ["## Data", "", *_pairs(about.snapshot | {"features": ", ".join(use_case.features)})],
        ["## Metrics, cost and gates", *judged],
        _measured(evidence),
        _importance(model / EVIDENCE / EXPLANATIONS, use_case),
        _limits(about, use_case),
        _approvals(about, use_case),
        _reproduction(about, version),
    ]
    return "\n\n".join("\n".join(lines) for lines in sections if lines) + "\n"


def _identity(about: Certificate, use_case: UseCase) -> list[str]:
    return _pairs(
        {
            "owner": use_case.owner,
            "task": f"{use_case.task} of {use_case.label.dataset}.{use_case.label.column}",
            "answers in": use_case.serving.runtime,
            "certified": f"{about.issued_at:%Y-%m-%d %H:%M} UTC, key {about.key_id}",
            "model": about.model_digest,
            "run": about.run_id,
            "parameters": json.dumps(about.parameters, sort_keys=True)
            if about.parameters
            else "the defaults",
        }
    )


def _measured(evidence: Evidence | None) -> list[str]:
    lines: list[str] = []
    for name, found in (evidence.measurements if evidence else {}).items():
        if not found.items and not found.problem:
            continue
        lines += ["", f"### {name}", "", *([found.problem, ""] if found.problem else [])]
        lines += _table(found.items[:MOST_ITEMS])
        if len(found.items) > MOST_ITEMS:
            lines += ["", f"… and {len(found.items) - MOST_ITEMS} more, in the evidence."]
    return ["## Slices, features and disturbances", *lines] if lines else []


def _importance(file: Path, use_case: UseCase) -> list[str]:
    if not file.exists():
        return []
    found = json.loads(file.read_bytes())
    told = (
        f"How much worse {use_case.metric} becomes when a feature is shuffled, on {found['rows']} test rows:"
    )
    return ["## What it depends on", "", told, "", *_table(found["importance"])]


def _limits(about: Certificate, use_case: UseCase) -> list[str]:
    low, high = use_case.prediction_range
    lines = [
        f"- It answers from {low:g} to {high:g}; anything else counts as an error.",
        f"- It learned from `{use_case.feature_view}` in the days above; later ones are watched for drift.",
        "- Contributions of features explain the model, not the world.",
    ]
    lines += [
        f"- {gate.gate} did not pass ({gate.severity}, {gate.outcome}): {_cell(gate.reason)}"
        for gate in about.gates
        if gate.outcome != "pass"
    ]
    return ["## Limits", "", *lines]


def _approvals(about: Certificate, use_case: UseCase) -> list[str]:
    lines = [f"- {_cell(json.dumps(each, sort_keys=True))}" for each in about.approvals]
    lines = lines or ["No gate needed a person."]
    command = f"airworthy history {use_case.name}"
    return ["## Approvals", "", *lines, "", f"Those of its release stand in the ledger: `{command}`."]


def _reproduction(about: Certificate, version: int) -> list[str]:
    verify = f"airworthy certificate verify models:/{about.use_case}/{version}"
    made_with = {
        "code": about.code_version,
        "lock": about.lock_hash,
        "seeds": json.dumps(about.seeds, sort_keys=True),
    }
    return [
        *("## How to make it again", "", *_pairs(made_with), ""),
        *(f"Environment: {', '.join(f'{name} {found}' for name, found in about.environment.items())}.", ""),
        "```sh",
        verify,
        "```",
    ]


def _pairs(values: Mapping[str, Any]) -> list[str]:
    return ["| | |", "|---|---|", *(f"| {_cell(name)} | {_cell(value)} |" for name, value in values.items())]


def _table(rows: Iterable[Mapping[str, Any]]) -> list[str]:
    rows = list(rows)
    heads = list(dict.fromkeys(name for row in rows for name in row))
    if not heads:
        return []
    lines = ["| " + " | ".join(map(_cell, heads)) + " |", "|---" * len(heads) + "|"]
    return lines + ["| " + " | ".join(_cell(row.get(head, "")) for head in heads) + " |" for row in rows]


def _cell(value: object) -> str:
    text = f"{value:.4g}" if isinstance(value, float) else str(value)
    return text.replace("|", "\\|").replace("\n", " ")
