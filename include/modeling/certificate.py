"""A model's certificate: what it was made from and which gates it passed, signed, checked before loading."""

from __future__ import annotations

import argparse
import base64
import hashlib
import json
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from cryptography.exceptions import InvalidSignature
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from include.errors import AirworthyError, CertificateInvalid
from include.modeling.signing import generate_keys, key_id, private_key, trusted_key

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

__all__ = ["FILE_NAME", "Certificate", "Claims", "GateEvidence", "digest", "generate_keys", "issue", "verify"]

FILE_NAME = "certificate.json"
UNSIGNED = frozenset({FILE_NAME, "registered_model_meta"})  # MLflow's client adds the second to a download
Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


class _Signed(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", protected_namespaces=(), allow_inf_nan=False)


class GateEvidence(_Signed):
    """What one gate said, and the figures it said it on."""

    gate: str
    outcome: Literal["pass", "fail", "inconclusive"]
    severity: Literal["block", "warn", "info"]
    reason: str
    figures: dict[str, float | int | str]


class Claims(_Signed):
    """What whoever signs says about a model."""

    use_case: str
    snapshot: dict[str, Any]
    code_version: str
    lock_hash: str
    run_id: str
    metrics: dict[str, float]
    gates: tuple[GateEvidence, ...]
    environment: dict[str, str]
    approvals: tuple[dict[str, str], ...] = ()


class Certificate(Claims):
    """What is signed: the claims, and the sha256 of every file that they are about."""

    format: Literal[1] = 1
    model_digest: Sha256
    files: dict[str, Sha256]
    issued_at: datetime
    key_id: Annotated[str, Field(pattern=r"^[0-9a-f]{16}$")]


def file_digests(folder: Path) -> dict[str, str]:
    """
    Return the sha256 of every file of the model in `folder`, by its relative path.

    :raises CertificateInvalid: if there is a link, whose target nobody has signed
    """
    digests = {}
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder).as_posix()
        if path.is_symlink():
            raise CertificateInvalid(f"{path} is a link; a model's folder holds plain files only.")
        if path.is_file() and name not in UNSIGNED:
            with path.open("rb") as file:
                digests[name] = hashlib.file_digest(file, "sha256").hexdigest()
    return digests


def digest(folder: Path) -> str:
    """Return one sha256 over the names and contents of all files of the model in `folder`."""
    return _digest_of(file_digests(folder))


def issue(folder: Path, claims: Claims, *, key_path: Path) -> bytes:
    """
    Return the signed certificate of the model in `folder`, as the content of its `certificate.json`.

    :raises CertificateInvalid: if a blocking gate failed: what may not fly gets no certificate
    :raises SettingsError: if the signing key cannot be read
    """
    key = private_key(key_path)
    files = file_digests(folder)
    certificate = Certificate(
        **claims.model_dump(),
        model_digest=_digest_of(files),
        files=files,
        issued_at=datetime.now(UTC),
        key_id=key_id(key.public_key()),
    )
    _check_gates(certificate, folder)
    payload = certificate.model_dump(mode="json")
    signature = base64.b64encode(key.sign(_canonical(payload))).decode()
    return _canonical({"certificate": payload, "signature": signature})


def verify(folder: Path, trusted: Path, *, use_case: str | None = None) -> Certificate:
    """
    Return the certificate of the model in `folder`, having checked all of it; `trusted` holds public keys.

    :raises CertificateInvalid: if it is missing, unreadable, by an unknown key, altered, of other files,
        of another use case than `use_case`, or if a blocking gate failed
    """
    path = folder / FILE_NAME
    certificate, payload, signature = _read(path)
    key = trusted_key(trusted, certificate.key_id)
    try:
        key.verify(signature, _canonical(payload))
    except InvalidSignature as error:
        raise CertificateInvalid(
            f"{path}: the signature is not of this content; somebody altered it. Register the model anew."
        ) from error
    if use_case is not None and certificate.use_case != use_case:
        raise CertificateInvalid(f"{path} certifies a model of {certificate.use_case}, not of {use_case}.")
    _check_files(certificate, folder)
    _check_gates(certificate, folder)
    return certificate


def _check_files(certificate: Certificate, folder: Path) -> None:
    found, signed = file_digests(folder), certificate.files
    changed = sorted(name for name in found.keys() & signed.keys() if found[name] != signed[name])
    differences = [f"{name} changed" for name in changed]
    differences += [f"{name} is missing" for name in sorted(signed.keys() - found.keys())]
    differences += [f"{name} was added" for name in sorted(found.keys() - signed.keys())]
    if not differences and _digest_of(found) != certificate.model_digest:
        differences = ["the model's digest is not that of its files"]
    if differences:
        raise CertificateInvalid(
            f"{folder}: not the files that were certified: {'; '.join(differences)}. "
            "Fetch the version again; if that does not help, train the model anew."
        )


def _check_gates(certificate: Certificate, folder: Path) -> None:
    if not certificate.gates:
        raise CertificateInvalid(f"{folder}: no gate has judged this model. Run its training DAG.")
    for gate in certificate.gates:
        if gate.severity == "block" and gate.outcome == "fail":
            raise CertificateInvalid(f"{folder}: the gate {gate.gate} refused this model: {gate.reason}.")


def _read(path: Path) -> tuple[Certificate, dict[str, Any], bytes]:
    try:
        content = json.loads(path.read_bytes())
        payload = content["certificate"]
        signature = base64.b64decode(content["signature"], validate=True)
        return Certificate.model_validate_json(_canonical(payload)), payload, signature
    except FileNotFoundError as error:
        raise CertificateInvalid(f"{path} is missing: nobody certified it. Run the training DAG.") from error
    except (OSError, ValidationError, ValueError, KeyError, TypeError) as error:
        raise CertificateInvalid(f"{path} is not a certificate: {error}. Train the model anew.") from error


def _canonical(content: Mapping[str, Any]) -> bytes:
    return json.dumps(content, sort_keys=True, separators=(",", ":"), allow_nan=False).encode()


def _digest_of(files: Mapping[str, str]) -> str:
    return hashlib.sha256(_canonical(files)).hexdigest()


def _describe(certificate: Certificate) -> str:
    about = {
        "valid": f"{certificate.use_case}, model {certificate.model_digest}",
        "issued": f"{certificate.issued_at:%Y-%m-%d %H:%M:%S} UTC, key {certificate.key_id}",
        "run": certificate.run_id,
        "code": f"{certificate.code_version}, lock {certificate.lock_hash}",
        "snapshot": json.dumps(certificate.snapshot, sort_keys=True),
        "files": str(len(certificate.files)),
    }
    lines = [f"{name + ':':<10}{value}" for name, value in about.items()]
    lines += [
        f"{gate.outcome:<13} {gate.gate} ({gate.severity}): {gate.reason}" for gate in certificate.gates
    ]
    return "\n".join([*lines, ""])


def main(arguments: Sequence[str] | None = None) -> int:
    """Say what the certificate in a model's folder says; return 1 if it is invalid."""
    parser = argparse.ArgumentParser(prog="python -m include.modeling.certificate", description=__doc__)
    verbs = parser.add_subparsers(dest="verb", required=True)
    verb = verbs.add_parser("verify", help="check a model's folder")
    verb.add_argument("folder", type=Path)
    verb.add_argument("--trusted", type=Path, help="folder of public keys (default: the settings')")
    given = parser.parse_args(arguments)
    try:
        certificate = verify(given.folder, given.trusted or _trusted_keys())
    except AirworthyError as error:
        sys.stderr.write(f"invalid: {error}\n")
        return 1
    sys.stdout.write(_describe(certificate))
    return 0


def _trusted_keys() -> Path:
    from include.stack.settings import settings

    return settings().trusted_keys


if __name__ == "__main__":
    raise SystemExit(main())
