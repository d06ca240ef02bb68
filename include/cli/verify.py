"""Verify a model wherever it is: a folder, `models:/<use case>/<version>` or `models:/<use case>@<alias>`."""

from __future__ import annotations

import argparse
import json
import re
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from include.certificates import certificate
from include.errors import AirworthyError, CertificateInvalid, SettingsError
from include.settings import settings

if TYPE_CHECKING:
    from collections.abc import Sequence

    from include.certificates.certificate import Certificate

REGISTERED = re.compile(r"models:/(?P<name>[a-z][a-z0-9_]*)(/(?P<version>[0-9]+)|@(?P<alias>[\w-]+))")


def verify(model: str, trusted: Path, *, mlflow_uri: str) -> Certificate:
    """
    Return the certificate of a folder or of a registered version, which is fetched for it and checked whole.

    :raises CertificateInvalid: if anything of it is not as it was signed, or it is another model's
    :raises SettingsError: if `model` is no address of a registered version
    :raises DataError: if there is no such version
    :raises ServiceUnavailable: if MLflow is away, or a clock is wrong
    """
    if not model.startswith("models:"):
        return certificate.verify_certificate(Path(model), trusted)
    from include.inference.download import download_version, version_of

    named = REGISTERED.fullmatch(model)
    if named is None:
        raise SettingsError(f"{model}: write models:/flight_delay/3 or models:/flight_delay@champion.")
    use_case = named["name"]
    version = int(named["version"] or version_of(mlflow_uri, use_case, named["alias"]))
    with TemporaryDirectory(prefix="airworthy-") as folder:
        files = download_version(mlflow_uri, use_case, version, Path(folder) / str(version))
        return certificate.verify_certificate(files, trusted, use_case=use_case)


def describe(about: Certificate) -> str:
    """Return a valid certificate as text for people."""
    evidence = [name for name in about.files if name.startswith(f"{certificate.EVIDENCE}/")]
    facts = {
        "valid": f"{about.use_case}, model {about.model_digest}",
        "issued": f"{about.issued_at:%Y-%m-%d %H:%M:%S} UTC, key {about.key_id}",
        "run": about.run_id,
        "code": f"{about.code_version}, lock {about.lock_hash}",
        "seeds": json.dumps(about.seeds, sort_keys=True),
        "snapshot": json.dumps(about.snapshot, sort_keys=True),
        "files": f"{len(about.files) - len(evidence)} of the model, {len(evidence)} of evidence",
    }
    lines = [f"{name + ':':<10}{value}" for name, value in facts.items()]
    lines += [f"approved: {json.dumps(approval, sort_keys=True)}" for approval in about.approvals]
    lines += [f"{gate.outcome:<13} {gate.gate} ({gate.severity}): {gate.reason}" for gate in about.gates]
    return "\n".join([*lines, ""])


def main(arguments: Sequence[str] | None = None) -> int:
    """Say what a model's certificate says; return 1 if it is invalid, 2 if it could not be verified."""
    parser = argparse.ArgumentParser(prog="python -m include.cli.verify", description=__doc__)
    verbs = parser.add_subparsers(dest="verb", required=True)
    verb = verbs.add_parser("verify", help="check a model, its certificate and its evidence")
    verb.add_argument("model", help="a folder, models:/<use case>/<version> or models:/<use case>@<alias>")
    verb.add_argument("--trusted", type=Path, help="folder of public keys (default: the settings')")
    given = parser.parse_args(arguments)
    try:
        trusted = given.trusted or settings().trusted_keys
        about = verify(given.model, trusted, mlflow_uri=settings().mlflow_uri)
    except CertificateInvalid as error:
        sys.stderr.write(f"invalid: {error}\n")
        return 1
    except AirworthyError as error:
        sys.stderr.write(f"not verified: {error}\n")
        return 2
    sys.stdout.write(describe(about))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
