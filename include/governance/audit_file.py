"""The ledger and the certificates of a model in one file, which an auditor verifies without the stack."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Literal

from pydantic import BaseModel, ConfigDict, ValidationError, field_validator
from sqlalchemy import func, select

from include.certificates.certificate import verify_signature
from include.certificates.keys import trusted_key_ids
from include.database.ledger import champion_at
from include.database.ledger_chain import FIRST_HASH, ChainedEntry, chain_faults, missing_anchors, read_chain
from include.database.owner import can_alter_ledger
from include.database.tables import desired_state, ledger
from include.errors import AirworthyError, CertificateInvalid, DataError, ServiceUnavailable
from include.inference.download import download_certificate, registered_versions

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from sqlalchemy import Connection

    from include.certificates.certificate import Certificate


class AuditFile(BaseModel):
    """
    Content of the file.

    Attributes
    ----------
    use_case
        Model, dataset or other name that the entries are about.
    exported_at
        When the file was written.
    entries
        All entries of the ledger about it, oldest first.
    certificates
        Content of `certificate.json` by version.
    missing
        Why there is no certificate of a version.
    keys
        Public keys in PEM by their ids. Compare the ids with those that you were given another way.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    format: Literal[1] = 1
    use_case: str
    exported_at: datetime
    entries: tuple[ChainedEntry, ...]
    certificates: dict[int, str]
    missing: dict[int, str] = {}
    keys: dict[str, str]

    @field_validator("entries")
    @classmethod
    def _has_readable_entries(cls, entries: tuple[ChainedEntry, ...]) -> tuple[ChainedEntry, ...]:
        for number, entry in enumerate(entries):
            if not entry.is_readable:
                raise ValueError(f"entry {number} holds no entry of a ledger: {entry.content[:80]}")
        return entries


@dataclass(frozen=True, slots=True)
class AuditResult:
    """
    What a verification found.

    Attributes
    ----------
    use_case
        Model, dataset or other name.
    entries
        How many entries there are.
    newest_hash
        Hash of the newest one; empty without entries.
    certificates
        Versions whose certificates are valid.
    faults
        What was changed or removed; empty if nothing was.
    notes
        What could not be verified.
    """

    use_case: str
    entries: int
    newest_hash: str
    certificates: tuple[int, ...]
    faults: tuple[str, ...]
    notes: tuple[str, ...]


def export_audit_file(connection: Connection, use_case: str, *, mlflow_uri: str, trusted: Path) -> AuditFile:
    """
    Collect the entries of a use case, the certificates of its versions, and the public keys.

    Parameters
    ----------
    connection
        Connection to the airworthy database.
    use_case
        Model, dataset or other name in the ledger.
    mlflow_uri
        Address of the MLflow server; without answers the file says why certificates are missing.
    trusted
        Folder of the trusted public keys.
    """
    entries = read_chain(connection, use_case)
    certificates = {}
    missing = {}
    problem = ""
    for version in _versions(entries, use_case, mlflow_uri):
        if problem:
            missing[version] = problem
            continue
        try:
            certificates[version] = download_certificate(mlflow_uri, use_case, version).decode()
        except ServiceUnavailable as error:
            problem = str(error)
            missing[version] = problem
        except (DataError, UnicodeDecodeError) as error:
            missing[version] = str(error)
    return AuditFile(
        use_case=use_case,
        exported_at=datetime.now(UTC),
        entries=tuple(entries),
        certificates=certificates,
        missing=missing,
        keys={name: (trusted / f"{name}.pem").read_text() for name in trusted_key_ids(trusted)},
    )


def read_audit_file(path: Path) -> AuditFile:
    """
    Return the content of an exported file.

    Raises
    ------
    DataError
        If it cannot be read, or is no such file.
    """
    try:
        return AuditFile.model_validate_json(path.read_bytes())
    except (OSError, ValidationError) as error:
        raise DataError(
            f"{path} is no export of a ledger: {error}. Write one with `airworthy ledger export`."
        ) from error


def verify_audit_file(file: AuditFile, trusted: Path | None = None) -> AuditResult:
    """
    Verify the chain of the entries, the certificates, and that both say the same.

    Parameters
    ----------
    file
        Content of an exported file.
    trusted
        Folder of public keys to trust instead of those in the file.
    """
    faults = chain_faults(file.entries)
    other_names = {entry.values["use_case"] for entry in file.entries} - {file.use_case}
    faults += [f"an entry is about {name}, not about {file.use_case}" for name in sorted(other_names)]
    certificates = {}
    with _trusted_folder(file, trusted) as folder:
        for version, content in file.certificates.items():
            try:
                certificates[version] = _verified(file.use_case, version, content, folder)
            except CertificateInvalid as error:
                faults.append(str(error))
    anchors = [(item.ledger_hash, f"the certificate of version {v}") for v, item in certificates.items()]
    faults += missing_anchors(file.entries, anchors)
    faults += _registration_faults(file, certificates)
    return AuditResult(
        use_case=file.use_case,
        entries=len(file.entries),
        newest_hash=file.entries[-1].hash if file.entries else FIRST_HASH,
        certificates=tuple(sorted(certificates)),
        faults=tuple(faults),
        notes=tuple(f"no certificate of version {v}: {reason}" for v, reason in file.missing.items()),
    )


def stack_faults(connection: Connection, use_case: str, earlier: AuditFile | None = None) -> list[str]:
    """
    Return what contradicts the ledger elsewhere: the serving champion, and an earlier export.

    Parameters
    ----------
    connection
        Connection to the airworthy database.
    use_case
        Model, dataset or other name in the ledger.
    earlier
        An earlier export of it, whose entries must still be there.
    """
    faults = []
    if earlier is not None:
        entries = read_chain(connection, use_case)
        anchors = [(entry.hash, f"the export of {earlier.exported_at:%Y-%m-%d}") for entry in earlier.entries]
        faults += missing_anchors(entries, anchors)
    champion = connection.scalar(
        select(desired_state.c.champion).where(
            desired_state.c.use_case == use_case, desired_state.c.retired.is_(False)
        )
    )
    if champion is not None:
        # The database's clock stamps the entries.
        now = connection.execute(select(func.clock_timestamp())).scalar_one()
        promotion = champion_at(connection, use_case, now)
        recorded = promotion["version"] if promotion else None
        if recorded != champion:
            faults.append(
                f"version {champion} serves, but by the ledger the champion is {recorded or 'none'}: an "
                "entry was removed, or the state was changed without one"
            )
    return faults


def stack_notes(connection: Connection) -> list[str]:
    """Return what weakens the ledger of this database."""
    if not can_alter_ledger(connection):
        return []
    return [
        "the role of this connection could change the ledger: let its tables belong to another role, as "
        "`make up` and the compose service `migrate` do"
    ]


def ledger_names(connection: Connection) -> list[str]:
    """Return the names that the ledger has entries about, and those of the use cases with a state."""
    names = set(connection.scalars(select(ledger.c.use_case).distinct()))
    names |= set(connection.scalars(select(desired_state.c.use_case)))
    return sorted(names)


def _versions(entries: Iterable[ChainedEntry], use_case: str, mlflow_uri: str) -> list[int]:
    """Return the versions that the ledger or MLflow names; an entry of a registration may be missing."""
    versions = _registrations(entries).keys()
    try:
        return sorted(versions | registered_versions(mlflow_uri, use_case))
    except AirworthyError:
        # The download of the certificates says why.
        return sorted(versions)


def _registrations(entries: Iterable[ChainedEntry]) -> dict[int, str]:
    """Return the digest of the model by the version that was registered with it first."""
    digests: dict[int, str] = {}
    for values in (entry.values for entry in entries):
        if values["event"] == "registered":
            digests.setdefault(values["version"], values["evidence"].get("digest", ""))
    return digests


def _registration_faults(file: AuditFile, certificates: dict[int, Certificate]) -> list[str]:
    registrations = _registrations(file.entries)
    faults = [
        f"version {version} has a certificate, but no entry says that it was registered: the entry was "
        "removed, or the task `register` has not ended"
        for version in sorted(certificates.keys() - registrations.keys())
    ]
    for version, digest in registrations.items():
        if version not in file.certificates.keys() | file.missing.keys():
            faults.append(f"the certificate of version {version} is not in the file")
        elif version in certificates and certificates[version].model_digest != digest:
            faults.append(
                f"version {version} was registered as the model {digest}, but its certificate is about the "
                f"model {certificates[version].model_digest}"
            )
    return faults


def _verified(use_case: str, version: int, content: str, trusted: Path) -> Certificate:
    name = f"the certificate of version {version}"
    certificate = verify_signature(content.encode(), trusted, name)
    if certificate.use_case != use_case:
        raise CertificateInvalid(f"{name} is about {certificate.use_case}, not about {use_case}.")
    return certificate


@contextmanager
def _trusted_folder(file: AuditFile, trusted: Path | None) -> Iterator[Path]:
    """Yield the given folder, or one with the keys of the file; reading a key checks its name."""
    if trusted is not None:
        yield trusted
        return
    with TemporaryDirectory(prefix="airworthy-") as folder:
        for name, content in file.keys.items():
            if name.isalnum():
                Path(folder, f"{name}.pem").write_text(content)
        yield Path(folder)
