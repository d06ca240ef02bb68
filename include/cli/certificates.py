"""`airworthy certificate` and `airworthy keys`: verify a model's certificate, and keep the signing keys."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Annotated, Any

from typer import Argument, Exit, Option, Typer

from include.cli.options import AsJson
from include.cli.output import print_json, print_text

if TYPE_CHECKING:
    from include.certificates.certificate import Certificate

REGISTERED = re.compile(r"models:/(?P<name>[a-z][a-z0-9_]*)(/(?P<version>[0-9]+)|@(?P<alias>[\w-]+))")
INVALID = 1
NOT_VERIFIED = 2

app = Typer(help="Verify the certificates of models.", no_args_is_help=True)
keys_app = Typer(help="List, rotate and revoke the keys that sign certificates.", no_args_is_help=True)


@app.command()
def verify(
    model: Annotated[
        str, Argument(metavar="MODEL", help="A folder, models:/<name>/<version> or models:/<name>@<alias>.")
    ],
    trusted: Annotated[
        Path | None, Option(help="Folder of trusted public keys; default: the stack's own.")
    ] = None,
    *,
    as_json: AsJson = False,
) -> None:
    """
    Verify a model, its certificate and its evidence, file by file.

    Exit code 1: the certificate is invalid. Exit code 2: it could not be verified, since there is no such
    model or MLflow does not answer.

    [bold]Examples[/bold]
      airworthy certificate verify models:/flight_delay@champion
      airworthy certificate verify models:/flight_delay/3 --json
      airworthy certificate verify .airworthy/models/flight_delay/3
    """
    from include.errors import AirworthyError, CertificateInvalid
    from include.settings import settings

    try:
        folder = trusted or settings().trusted_keys
        certificate = verify_model(model, folder, mlflow_uri=settings().mlflow_uri)
    except CertificateInvalid as error:
        _report_failure("invalid", error, as_json=as_json)
        raise Exit(INVALID) from None
    except AirworthyError as error:
        _report_failure("not verified", error, as_json=as_json)
        raise Exit(NOT_VERIFIED) from None
    if as_json:
        print_json({"status": "valid", "reason": "", "certificate": certificate.model_dump(mode="json")})
    else:
        print_text(describe_certificate(certificate))


@keys_app.command("list")
def list_keys(*, as_json: AsJson = False) -> None:
    """
    Show the trusted keys; `*` marks the one that signs.

    [bold]Example[/bold]
      airworthy keys list
    """
    _print_keys(as_json=as_json)


@keys_app.command()
def rotate(*, as_json: AsJson = False) -> None:
    """
    Make a new signing key. What the former key signed stays valid.

    [bold]Example[/bold]
      airworthy keys rotate
    """
    from include.certificates import keys
    from include.settings import settings

    keys.rotate_key(settings().signing_key.parent)
    _print_keys(as_json=as_json)


@keys_app.command()
def revoke(
    key: Annotated[str, Argument(metavar="KEY", help="The key's id, as `airworthy keys list` shows it.")],
    *,
    as_json: AsJson = False,
) -> None:
    """
    Stop trusting a key: no model that it signed is loaded, staged or promoted any more.

    Exit code 1: it is the signing key, or it is not trusted here.

    [bold]Example[/bold]
      airworthy keys revoke 0123456789abcdef
    """
    from include.certificates import keys
    from include.settings import settings

    keys.revoke_key(settings().signing_key.parent, key)
    _print_keys(as_json=as_json)


def verify_model(model: str, trusted: Path, *, mlflow_uri: str) -> Certificate:
    """
    Return the verified certificate of a folder, or of a registered version that is downloaded for it.

    Raises
    ------
    CertificateInvalid
        If a file differs from what was signed, or the certificate belongs to another model.
    SettingsError
        If `model` is no address of a registered version.
    DataError
        If there is no such version.
    ServiceUnavailable
        If MLflow does not answer, or a clock is wrong.
    """
    from include.certificates.certificate import verify_certificate
    from include.errors import SettingsError

    if not model.startswith("models:"):
        return verify_certificate(Path(model), trusted)
    from include.inference.download import download_version, version_of

    address = REGISTERED.fullmatch(model)
    if address is None:
        raise SettingsError(f"{model}: write models:/flight_delay/3 or models:/flight_delay@champion.")
    use_case = address["name"]
    version = int(address["version"] or version_of(mlflow_uri, use_case, address["alias"]))
    with TemporaryDirectory(prefix="airworthy-") as folder:
        files = download_version(mlflow_uri, use_case, version, Path(folder) / str(version))
        return verify_certificate(files, trusted, use_case=use_case)


def describe_certificate(certificate: Certificate) -> str:
    """Return a valid certificate as text: what was signed, the approvals, and the gates."""
    from include.certificates.certificate import EVIDENCE

    evidence = [name for name in certificate.files if name.startswith(f"{EVIDENCE}/")]
    facts = {
        "valid": f"{certificate.use_case}, model {certificate.model_digest}",
        "issued": f"{certificate.issued_at:%Y-%m-%d %H:%M:%S} UTC, key {certificate.key_id}",
        "run": certificate.run_id,
        "code": f"{certificate.code_version}, lock {certificate.lock_hash}",
        "seeds": json.dumps(certificate.seeds, sort_keys=True),
        "snapshot": json.dumps(certificate.snapshot, sort_keys=True),
        "files": f"{len(certificate.files) - len(evidence)} of the model, {len(evidence)} of evidence",
    }
    lines = [f"{name + ':':<10}{value}" for name, value in facts.items()]
    for approval in certificate.approvals:
        lines.append(f"approved: {json.dumps(approval, sort_keys=True)}")
    for gate in certificate.gates:
        lines.append(f"{gate.outcome:<13} {gate.gate} ({gate.severity}): {gate.reason}")
    return "\n".join(lines)


def _report_failure(status: str, error: Exception, *, as_json: bool) -> None:
    if as_json:
        print_json({"status": status, "reason": str(error), "certificate": None})
    else:
        sys.stderr.write(f"{status}: {error}\n")


def _print_keys(*, as_json: bool) -> None:
    from include.certificates import keys
    from include.settings import settings

    folder = settings().signing_key.parent
    signing = keys.key_id(keys.read_signing_key(folder / keys.SIGNING).public_key())
    records: list[dict[str, Any]] = []
    for name in keys.trusted_key_ids(folder / keys.TRUSTED):
        records.append({"id": name, "signs": name == signing})
    if as_json:
        print_json(records)
        return
    for record in records:
        print_text(f"{record['id']} *" if record["signs"] else record["id"])
