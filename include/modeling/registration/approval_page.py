"""What a person reads who approves a release: results of the shadow step, certificate, and model card."""

from __future__ import annotations

import json
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from include.certificates.certificate import verify_certificate
from include.modeling.gates.report import escape_cell
from include.modeling.registration.model_card import card_markdown

if TYPE_CHECKING:
    from collections.abc import Mapping

    from include.certificates.certificate import Certificate
    from include.declarations import UseCase
    from include.modeling.registry.registry import Registry

NO_SHADOW = "There are no results: there was no champion to compare with, or no shadow step."


def approval_page(
    registry: Registry, use_case: UseCase, version: int, *, trusted: Path, shadow: object
) -> str:
    """
    Return the page as Markdown.

    Parameters
    ----------
    registry
        Where the version is registered.
    use_case, version
        What is to be released.
    trusted
        Folder of the trusted public keys.
    shadow
        Figures of the shadow step, a mapping; anything else is shown as none.

    Raises
    ------
    CertificateInvalid
        If no trusted key certified exactly these files for this use case.
    """
    with TemporaryDirectory() as folder:
        model = registry.download(use_case.name, version, Path(folder) / "model")
        certificate = verify_certificate(model, trusted, use_case=use_case.name)
        card = card_markdown(model, certificate, use_case, version)
    figures = shadow if isinstance(shadow, dict) else {}
    parts = ["## Shadow step", _figures_table(_with_dotted_names(figures)) if figures else NO_SHADOW]
    parts += ["## Certificate", _figures_table(_certificate_rows(certificate)), card]
    return "\n\n".join(parts)


def _certificate_rows(certificate: Certificate) -> dict[str, object]:
    outcomes = [gate.outcome for gate in certificate.gates]
    counts = {outcome: outcomes.count(outcome) for outcome in sorted(set(outcomes))}
    return {
        "digest of the model": certificate.model_digest,
        "signed with the key": certificate.key_id,
        "training run": certificate.run_id,
        "gates": ", ".join(f"{count} {outcome}" for outcome, count in counts.items()),
    }


def _with_dotted_names(figures: Mapping[str, Any], prefix: str = "") -> dict[str, object]:
    """Return nested figures as one mapping with dotted names."""
    flat: dict[str, object] = {}
    for name, value in figures.items():
        if isinstance(value, dict):
            flat |= _with_dotted_names(value, f"{prefix}{name}.")
        else:
            flat[f"{prefix}{name}"] = value
    return flat


def _figures_table(rows: Mapping[str, object]) -> str:
    lines = ["| figure | value |", "|---|---|"]
    for name, value in rows.items():
        lines.append(f"| {escape_cell(name)} | {escape_cell(_format_figure(value))} |")
    return "\n".join(lines)


def _format_figure(value: object) -> str:
    if isinstance(value, float):
        return f"{value:.4g}"
    return value if isinstance(value, str) else json.dumps(value, default=str)
