"""Certificate of a model: inputs, gates and file digests, signed with Ed25519, verified before loading."""

from __future__ import annotations

import base64
import hashlib
import json
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Annotated, Any, Literal

from cryptography.exceptions import InvalidSignature
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from include.certificates.keys import generate_keys, key_id, read_signing_key, read_trusted_key
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
    "verify_signature",
]

FILE_NAME = "certificate.json"
# Folder of the evidence of the gates: it is signed, but is not part of the model.
EVIDENCE = "evidence"
CLOCK_SKEW = timedelta(minutes=5)
# MLflow's client adds `registered_model_meta`, with the time of the download, to each download.
UNSIGNED = frozenset({FILE_NAME, "registered_model_meta"})
Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


class _Signed(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", protected_namespaces=(), allow_inf_nan=False)


class GateEvidence(_Signed):
    """Verdict of one gate, and the figures that it is based on."""

    gate: str
    outcome: Literal["pass", "fail", "inconclusive"]
    severity: Literal["block", "warn", "info"]
    reason: str
    figures: dict[str, float | int | str]


class Claims(_Signed):
    """Statements about a model that the signer makes."""

    use_case: str
    snapshot: dict[str, Any]
    # The column and how it is divided, and the classes by their codes; none of a regression.
    label: str = ""
    classes: tuple[str, ...] = ()
    # How the rows of the snapshot were divided into training, validation and test.
    split: str = ""
    code_version: str
    lock_hash: str
    parameters: dict[str, Any] = {}
    # SHA-256 of the text of each file that the model is made of; empty in older certificates.
    sources: dict[str, str] = {}
    # Empty in certificates that were issued before seeds were recorded.
    seeds: dict[str, int] = {}
    # Of a model that was fitted again after its gates: its rows, and the model that was judged.
    refit: dict[str, Any] = {}
    # How decisions follow from predictions, and what they cost on the test rows; empty without their cost.
    decision: dict[str, Any] = {}
    run_id: str
    metrics: dict[str, float]
    gates: tuple[GateEvidence, ...]
    environment: dict[str, str]
    approvals: tuple[dict[str, str], ...] = ()
    # Kind of the compiled twin, and how it was compared with the estimator; empty without one.
    twin: dict[str, Any] = {}
    # Why monitoring or a person started the training; empty for a scheduled one.
    reason: str = ""
    # Hash of the newest entry of the ledger about the use case, when the certificate was issued.
    ledger_hash: str = ""


class Certificate(Claims):
    """Signed content: the claims, and the SHA-256 of every file of the model."""

    format: Literal[1] = 1
    model_digest: Sha256
    files: dict[str, Sha256]
    issued_at: datetime
    key_id: Annotated[str, Field(pattern=r"^[0-9a-f]{16}$")]


def file_digests(folder: Path) -> dict[str, str]:
    """
    Return the SHA-256 of every signed file in `folder`, by its relative path.

    Raises
    ------
    CertificateInvalid
        If the folder contains a symbolic link: the signature would not cover its target.
    """
    digests = {}
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder).as_posix()
        if path.is_symlink():
            raise CertificateInvalid(
                f"{path} is a link; the folder of a model must hold regular files only. Fetch the version "
                "again."
            )
        if path.is_file() and name not in UNSIGNED:
            with path.open("rb") as file:
                digests[name] = hashlib.file_digest(file, "sha256").hexdigest()
    return digests


def model_digest(folder: Path) -> str:
    """Return the SHA-256 over names and contents of the files of the model, without the evidence."""
    return _combine_digests(file_digests(folder))


def require_digest(folder: Path, expected: str, subject: str) -> None:
    """
    Raise CertificateInvalid if the model in `folder` does not have the digest `expected`.

    A valid certificate of another model does not help: the digest is that of the files.

    Parameters
    ----------
    folder
        Folder of the model.
    expected
        Digest as `model_digest` returns it.
    subject
        What the model should be, for the message, such as `flight_delay version 3`.
    """
    actual = model_digest(folder)
    if actual != expected:
        raise CertificateInvalid(
            f"{subject} is the model {expected}, but the files in {folder} are those of the model {actual}: "
            "they were exchanged. Train a new model, and check who may write to MLflow's artifacts."
        )


def issue_certificate(folder: Path, claims: Claims, *, key_path: Path) -> bytes:
    """
    Sign a certificate for the model in `folder`.

    Parameters
    ----------
    folder
        Folder of the model.
    claims
        Statements to sign.
    key_path
        File of the signing key.

    Returns
    -------
    bytes
        Content of `certificate.json`.

    Raises
    ------
    CertificateInvalid
        If a blocking gate failed, or was inconclusive and not approved.
    SettingsError
        If the signing key cannot be read.
    """
    key = read_signing_key(key_path)
    files = file_digests(folder)
    certificate = Certificate(
        **claims.model_dump(),
        model_digest=_combine_digests(files),
        files=files,
        issued_at=datetime.now(UTC),
        key_id=key_id(key.public_key()),
    )
    _check_gates(certificate, folder)
    payload = certificate.model_dump(mode="json")
    return _render(payload, key.sign(_canonical_json(payload)))


def verify_certificate(folder: Path, trusted: Path, *, use_case: str | None = None) -> Certificate:
    """
    Verify the certificate of the model in `folder`, and return it.

    Parameters
    ----------
    folder
        Folder of the model.
    trusted
        Folder of the trusted public keys.
    use_case
        Use case that the certificate must name; None accepts any.

    Raises
    ------
    CertificateInvalid
        If the certificate is missing or unreadable, its key is not trusted, its content was altered, the
        files differ from the signed ones, it names another use case, or a blocking gate failed, or was
        inconclusive and not approved.
    ServiceUnavailable
        If it was issued in the future: a clock is wrong, and may be corrected.
    """
    path = folder / FILE_NAME
    try:
        content = path.read_bytes()
    except FileNotFoundError as error:
        raise CertificateInvalid(
            f"{path} is missing: the model was not certified. Run the training DAG."
        ) from error
    except OSError as error:
        raise CertificateInvalid(f"{path} is not a certificate: {error}. Train a new model.") from error
    certificate = verify_signature(content, trusted, str(path))
    if use_case is not None and certificate.use_case != use_case:
        raise CertificateInvalid(f"{path} certifies a model of {certificate.use_case}, not of {use_case}.")
    _check_files(certificate, folder)
    _check_gates(certificate, folder)
    _check_clock(certificate, path)
    return certificate


def verify_signature(content: bytes, trusted: Path, name: str) -> Certificate:
    """
    Return the certificate in `content` if a trusted key signed it; files and gates are not checked.

    Parameters
    ----------
    content
        Content of `certificate.json`.
    trusted
        Folder of the trusted public keys.
    name
        What the certificate is called in messages, such as its path.

    Raises
    ------
    CertificateInvalid
        If it is unreadable, its key is not trusted, or its content was altered.
    """
    certificate, payload, signature = _parse_certificate(content, name)
    key = read_trusted_key(trusted, certificate.key_id)
    try:
        key.verify(signature, _canonical_json(payload))
    except InvalidSignature as error:
        raise CertificateInvalid(
            f"{name}: the signature does not match: the content was altered. Register the model again."
        ) from error
    return certificate


def _check_files(certificate: Certificate, folder: Path) -> None:
    actual = file_digests(folder)
    signed = certificate.files
    changed = sorted(name for name in actual.keys() & signed.keys() if actual[name] != signed[name])
    differences = [f"{name} changed" for name in changed]
    differences += [f"{name} is missing" for name in sorted(signed.keys() - actual.keys())]
    differences += [f"{name} was added" for name in sorted(actual.keys() - signed.keys())]
    if not differences and _combine_digests(actual) != certificate.model_digest:
        differences = ["the digest of the model is not that of its files"]
    if differences:
        raise CertificateInvalid(
            f"{folder}: the files are not the certified ones: {'; '.join(differences)}. "
            "Fetch the version again; if that does not help, train a new model."
        )


def _check_gates(certificate: Certificate, folder: Path) -> None:
    if not certificate.gates:
        raise CertificateInvalid(f"{folder}: no gate has evaluated this model. Run its training DAG.")
    approved = {approval.get("gate") for approval in certificate.approvals}
    for gate in certificate.gates:
        if gate.severity != "block":
            continue
        if gate.outcome == "fail":
            raise CertificateInvalid(f"{folder}: the gate {gate.gate} failed: {gate.reason}.")
        if gate.outcome == "inconclusive" and gate.gate not in approved:
            raise CertificateInvalid(
                f"{folder}: the gate {gate.gate} was inconclusive and was not approved: {gate.reason}. "
                "Run the training DAG, and answer its task `approve`."
            )


def _check_clock(certificate: Certificate, path: Path) -> None:
    now = datetime.now(UTC)
    if certificate.issued_at > now + CLOCK_SKEW:
        raise ServiceUnavailable(
            f"{path} was issued at {certificate.issued_at:%Y-%m-%d %H:%M:%S} UTC, but the local time is "
            f"{now:%Y-%m-%d %H:%M:%S} UTC. Set the clock that is wrong; the task is then retried."
        )


def _parse_certificate(content: bytes, name: str) -> tuple[Certificate, dict[str, Any], bytes]:
    try:
        values = json.loads(content)
        payload = values["certificate"]
        signature = base64.b64decode(values["signature"], validate=True)
        if content != _render(payload, signature):
            raise ValueError("it is not in the canonical form")  # noqa: TRY301  one message for all causes
        return Certificate.model_validate_json(_canonical_json(payload)), payload, signature
    except (ValidationError, ValueError, KeyError, TypeError) as error:
        raise CertificateInvalid(f"{name} is not a certificate: {error}. Train a new model.") from error


def _render(payload: Mapping[str, Any], signature: bytes) -> bytes:
    return _canonical_json({"certificate": payload, "signature": base64.b64encode(signature).decode()})


def _canonical_json(content: Mapping[str, Any]) -> bytes:
    """Return ASCII JSON with sorted keys, without spaces and with the shortest form of each number."""
    return json.dumps(content, sort_keys=True, separators=(",", ":"), allow_nan=False).encode()


def _combine_digests(files: Mapping[str, str]) -> str:
    model_files = {name: sha256 for name, sha256 in files.items() if not name.startswith(f"{EVIDENCE}/")}
    return hashlib.sha256(_canonical_json(model_files)).hexdigest()
