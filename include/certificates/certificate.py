"""A model's certificate: what it was made from and which gates it passed, signed, checked before loading."""

from __future__ import annotations

import base64
import hashlib
import json
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Annotated, Any, Literal

from cryptography.exceptions import InvalidSignature
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from include.certificates.keys import generate_keys, key_id, private_key, trusted_key
from include.errors import CertificateInvalid, ServiceUnavailable

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

__all__ = [
    "EVIDENCE",
    "FILE_NAME",
    "Certificate",
    "Claims",
    "GateEvidence",
    "generate_keys",
    "issue_certificate",
    "model_digest",
    "require_digest",
    "verify_certificate",
]

FILE_NAME = "certificate.json"
EVIDENCE = "evidence"  # the folder of what the gates were judged on: signed, but no part of the model
CLOCK_SKEW = timedelta(minutes=5)
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
    parameters: dict[str, Any] = {}
    seeds: dict[str, int] = {}  # unknown of what was certified before they were named
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


def model_digest(folder: Path) -> str:
    """Return one sha256 over the names and contents of all files of the model in `folder`, evidence aside."""
    return _digest_of(file_digests(folder))


def require_digest(folder: Path, expected: str, subject: str) -> None:
    """
    Let pass the folder whose model has the digest `expected`, as `subject` should.

    :raises CertificateInvalid: if it is another model, however well that one is certified
    """
    if (found := model_digest(folder)) != expected:
        raise CertificateInvalid(
            f"{subject} is the model {expected}, but the files are those of the model {found}: somebody "
            "exchanged them. Train the model anew, and see who may write to MLflow's artifacts."
        )


def issue_certificate(folder: Path, claims: Claims, *, key_path: Path) -> bytes:
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
    return _rendered(payload, key.sign(_canonical(payload)))


def verify_certificate(folder: Path, trusted: Path, *, use_case: str | None = None) -> Certificate:
    """
    Return the certificate of the model in `folder`, having checked all of it; `trusted` holds public keys.

    :raises CertificateInvalid: if it is missing, unreadable, by an unknown key, altered, of other files,
        of another use case than `use_case`, or if a blocking gate failed, or was undecided and not approved
    :raises ServiceUnavailable: if it was issued in the future: a clock is wrong, and may be put right
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
    _check_clock(certificate, path)
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
    approved = {approval.get("gate") for approval in certificate.approvals}
    for gate in (gate for gate in certificate.gates if gate.severity == "block"):
        if gate.outcome == "fail":
            raise CertificateInvalid(f"{folder}: the gate {gate.gate} refused this model: {gate.reason}.")
        if gate.outcome == "inconclusive" and gate.gate not in approved:
            raise CertificateInvalid(
                f"{folder}: the gate {gate.gate} could not decide on this model, and nobody approved it: "
                f"{gate.reason}. Run its training DAG, and answer its task `approve`."
            )


def _check_clock(certificate: Certificate, path: Path) -> None:
    now = datetime.now(UTC)
    if certificate.issued_at > now + CLOCK_SKEW:
        raise ServiceUnavailable(
            f"{path} was issued at {certificate.issued_at:%Y-%m-%d %H:%M:%S} UTC, and here it is "
            f"{now:%Y-%m-%d %H:%M:%S} UTC. Set the clock that is wrong; it is tried again."
        )


def _read(path: Path) -> tuple[Certificate, dict[str, Any], bytes]:
    try:
        raw = path.read_bytes()
        content = json.loads(raw)
        payload = content["certificate"]
        signature = base64.b64decode(content["signature"], validate=True)
        if raw != _rendered(payload, signature):
            raise ValueError("it is not in the canonical form")  # noqa: TRY301  one message for all of it
        return Certificate.model_validate_json(_canonical(payload)), payload, signature
    except FileNotFoundError as error:
        raise CertificateInvalid(f"{path} is missing: nobody certified it. Run the training DAG.") from error
    except (OSError, ValidationError, ValueError, KeyError, TypeError) as error:
        raise CertificateInvalid(f"{path} is not a certificate: {error}. Train the model anew.") from error


def _rendered(payload: Mapping[str, Any], signature: bytes) -> bytes:
    return _canonical({"certificate": payload, "signature": base64.b64encode(signature).decode()})


def _canonical(content: Mapping[str, Any]) -> bytes:
    """Return JSON with sorted keys, without spaces, in ASCII, numbers in their shortest form."""
    return json.dumps(content, sort_keys=True, separators=(",", ":"), allow_nan=False).encode()


def _digest_of(files: Mapping[str, str]) -> str:
    model = {name: sha256 for name, sha256 in files.items() if not name.startswith(f"{EVIDENCE}/")}
    return hashlib.sha256(_canonical(model)).hexdigest()
