"""Model card of a version (Mitchell et al., 2019), rendered from its certificate and evidence."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jinja2 import Environment, FileSystemLoader, select_autoescape
from markupsafe import Markup

from include.certificates.certificate import EVIDENCE
from include.modeling.evaluation.evidence import Evidence
from include.modeling.explainability.importance import EXPLANATIONS
from include.modeling.gates.report import escape_cell, report_markdown

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from include.certificates.certificate import Certificate
    from include.declarations import UseCase

MARKDOWN = "model_card.md"
HTML = "model_card.html"
MAX_ITEMS = 30


def write_model_card(
    model: Path, certificate: Certificate, use_case: UseCase, version: int, folder: Path
) -> list[Path]:
    """
    Write the card of a version as Markdown and as HTML.

    skops.card needs the loaded estimator and describes it only; this card describes the certificate.

    Parameters
    ----------
    model
        Folder of the verified model, with its evidence.
    certificate
        Certificate of the model.
    use_case
        Use case of the model.
    version
        Registered version.
    folder
        Folder to write to.

    Returns
    -------
    list of Path
        Paths of the Markdown file and of the HTML page.
    """
    from markdown_it import MarkdownIt

    text = card_markdown(model, certificate, use_case, version)
    # HTML in the Markdown is escaped, so its output may be inserted as it is.
    body = Markup(MarkdownIt("commonmark", {"html": False}).enable("table").render(text))  # noqa: S704
    template = _template_environment().get_template("model_card.html.jinja")
    page = template.render(title=f"{use_case.name} version {version}", body=body)
    (folder / MARKDOWN).write_text(text)
    (folder / HTML).write_text(page)
    return [folder / MARKDOWN, folder / HTML]


def card_summary(certificate: Certificate, use_case: UseCase) -> str:
    """Return the description of a version that MLflow shows; it names the run that contains the card."""
    metric = certificate.metrics.get(use_case.metric)
    measured = "" if metric is None else f", {use_case.metric} {metric:.4f} on the test rows"
    not_passed = [gate.gate for gate in certificate.gates if gate.outcome != "pass"]
    return (
        f"{use_case.description} Owner: {use_case.owner}{measured}. "
        f"{len(certificate.gates)} gates, not passed: {', '.join(not_passed) or 'none'}. "
        f"Model card: `{HTML}` among the artifacts of run `{certificate.run_id}`."
    )


def card_markdown(model: Path, certificate: Certificate, use_case: UseCase, version: int) -> str:
    """Return the card as Markdown; the parameters are those of `write_model_card`."""
    path = model / EVIDENCE / "evidence.json"
    evidence = Evidence.model_validate_json(path.read_bytes()) if path.exists() else None
    gates: Sequence[Any] = certificate.gates
    gate_lines = report_markdown(use_case, evidence, gates).splitlines()[1:]
    low, high = use_case.prediction_range
    environment = _template_environment()
    return environment.get_template("model_card.md.jinja").render(
        certificate=certificate,
        use_case=use_case,
        version=version,
        identity=_identity(certificate, use_case),
        data=_data(certificate, use_case),
        is_dated=use_case.split.by == "time",
        gate_report="\n".join(gate_lines),
        measurements=_measurements(evidence),
        importance=_importance(model / EVIDENCE / EXPLANATIONS),
        limits=f"{low:g} to {high:g}",
        not_passed=[gate for gate in certificate.gates if gate.outcome != "pass"],
        approvals=[json.dumps(approval, sort_keys=True) for approval in certificate.approvals],
        inputs=_inputs(certificate),
    )


def _template_environment() -> Environment:
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=select_autoescape(["html.jinja"]),
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters["cell"] = _format_cell
    return environment


def _identity(certificate: Certificate, use_case: UseCase) -> dict[str, str]:
    parameters = json.dumps(certificate.parameters, sort_keys=True) if certificate.parameters else ""
    identity = {"owner": use_case.owner, "task": f"{use_case.task} of {certificate.label}"}
    if certificate.classes:
        identity["classes"] = ", ".join(certificate.classes)
    risk = use_case.risk
    identity["risk"] = (
        "not assessed"
        if risk is None
        else f"{risk.level}, by {risk.reviewer} on {risk.reviewed}: {risk.impact}"
    )
    if certificate.reason:
        identity["trained because of"] = certificate.reason
    identity["learnt from"] = certificate.refit.get("learnt_from", "training rows")
    if certificate.refit:
        identity["figures"] = certificate.refit["figures"]
    return identity | {
        "runtime": use_case.serving.runtime,
        "certified": f"{certificate.issued_at:%Y-%m-%d %H:%M} UTC, key {certificate.key_id}",
        "model": certificate.model_digest,
        "run": certificate.run_id,
        "parameters": parameters or "the defaults",
    }


def _data(certificate: Certificate, use_case: UseCase) -> dict[str, Any]:
    data = dict(certificate.snapshot)
    if use_case.split.by == "entity" and "days" in data:
        landed = data.pop("days")[-1]
        data = {"landed": landed} | data
    return data | {"split": certificate.split, "features": ", ".join(use_case.features)}


def _inputs(certificate: Certificate) -> dict[str, str]:
    return {
        "code": certificate.code_version,
        "lock": certificate.lock_hash,
        "seeds": json.dumps(certificate.seeds, sort_keys=True),
    }


def _measurements(evidence: Evidence | None) -> list[dict[str, Any]]:
    """Return the measurements with items or a problem, with the first `MAX_ITEMS` items as a table."""
    if evidence is None:
        return []
    return [
        {
            "name": name,
            "problem": measurement.problem,
            "table": _table(measurement.items[:MAX_ITEMS]),
            "n_hidden": max(len(measurement.items) - MAX_ITEMS, 0),
        }
        for name, measurement in evidence.measurements.items()
        if measurement.items or measurement.problem
    ]


def _importance(path: Path) -> dict[str, Any] | None:
    if not path.exists():
        return None
    content = json.loads(path.read_bytes())
    return {"n_rows": content["rows"], "table": _table(content["importance"])}


def _table(items: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Return the columns of all items, and the cells of each item; missing cells are empty."""
    columns: dict[str, None] = {}
    for item in items:
        columns.update(dict.fromkeys(item))
    rows = []
    for item in items:
        rows.append([item.get(column, "") for column in columns])
    return {"columns": list(columns), "rows": rows}


def _format_cell(value: object) -> str:
    text = f"{value:.4g}" if isinstance(value, float) else str(value)
    return escape_cell(text)
