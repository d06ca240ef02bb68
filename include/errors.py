"""
Errors that a person is expected to act on.

AirworthyError
├── DeclarationError      a declaration of a dataset, feature view or use case is invalid
│   └── UndeclaredError       there is no valid declaration of this name
├── SettingsError         the environment, a setting or a connection is wrong or missing
├── ConflictError         an earlier attempt, or another run, used other data, code or parameters
├── DataError             data cannot be used
│   ├── PartitionMissing      a partition has not landed or was never published
│   ├── QualityFailed         a quality gate rejected a partition
│   └── StaleAttempt          a newer try of the run has published
├── RunDeleted            an MLflow run that a task needs was deleted
├── ModelError            a model raises, or returns something that is no prediction
│   ├── TrainingFailed        an estimator could not be fitted, or its predictions are invalid
│   └── PackagingFailed       a trained model cannot be packaged as its use case declares
├── NotReproduced         a version, trained again, predicts differently
├── GateFailed            a candidate did not pass its promotion gates
├── CertificateInvalid    a model's certificate is missing, forged, or of another model
├── ReleaseError          the desired state cannot be changed as requested
│   ├── ReleasesFrozen        releases of a use case are frozen
│   ├── StaleEpoch            a newer attempt owns the rollout
│   └── RolloutFailed         staging, shadow traffic or canary failed
├── AttentionNeeded       monitoring found something that a person has to look at
└── ServiceUnavailable    a service is unavailable; the only error that is retried
"""

from __future__ import annotations

from typing import ClassVar

RUNBOOKS = "docs/runbooks"


class AirworthyError(Exception):
    """
    Base class of the errors that this project raises.

    `runbook` is the name of its page in `RUNBOOKS`; empty if there is none.
    """

    runbook: ClassVar[str] = ""


class DeclarationError(AirworthyError):
    """A declaration is invalid: an unknown or repeated name, or an impossible value."""


class UndeclaredError(DeclarationError, KeyError):
    """There is no valid declaration of this name."""

    # KeyError would quote the message.
    __str__ = Exception.__str__


class SettingsError(AirworthyError):
    """The environment, a setting or a connection is wrong or missing."""


class ConflictError(AirworthyError):
    """An earlier attempt, or another run, used other data, code or parameters."""


class DataError(AirworthyError):
    """Data cannot be used."""


class PartitionMissing(DataError):
    """A partition has not landed or was never published."""

    runbook = "late-data"


class QualityFailed(DataError):
    """A quality gate rejected a partition."""

    runbook = "ingestion-refused"


class StaleAttempt(DataError):
    """A newer try of the same run has published; this one must not change anything."""


class RunDeleted(AirworthyError):
    """An MLflow run that a task needs was deleted."""


class ModelError(AirworthyError):
    """A model raises, or returns something that is no prediction; a retry does not help."""


class TrainingFailed(ModelError):
    """An estimator could not be fitted, or its predictions are invalid."""


class PackagingFailed(ModelError):
    """A trained model cannot be packaged as its use case declares."""


class NotReproduced(AirworthyError):
    """A version that was trained again from its lineage predicts differently, or cannot be trained."""


class GateFailed(AirworthyError):
    """A candidate model did not pass its promotion gates."""

    runbook = "gate-refused"


class CertificateInvalid(AirworthyError):
    """A certificate is missing, forged, or belongs to another model."""

    runbook = "certificate-refused"


class ReleaseError(AirworthyError):
    """The desired state cannot be changed as requested."""


class ReleasesFrozen(ReleaseError):
    """Releases of a use case are frozen until a person lifts it, or the error budget recovers."""

    runbook = "releases-frozen"


class StaleEpoch(ReleaseError):
    """A newer attempt owns the rollout; this one must not change anything."""


class RolloutFailed(ReleaseError):
    """Staging, shadow traffic or canary failed."""

    runbook = "rollout-rolled-back"


class AttentionNeeded(AirworthyError):
    """Monitoring found something that a person has to look at."""

    runbook = "drift-alarm"


class ServiceUnavailable(AirworthyError):
    """A service is unavailable; a retry may help."""


def runbook_of(error: BaseException | None) -> str:
    """Return the page about an error, such as `docs/runbooks/gate-refused.md`; empty if there is none."""
    name = error.runbook if isinstance(error, AirworthyError) else ""
    # The driver's error is not imported here, at the lowest floor.
    kinds = {f"{kind.__module__}.{kind.__qualname__}" for kind in type(error).__mro__}
    if "sqlalchemy.exc.OperationalError" in kinds:
        name = "database-away"
    return f"{RUNBOOKS}/{name}.md" if name else ""


def describe_failure(error: BaseException) -> str:
    """Return the text of an error, and its runbook on a line of its own if there is one."""
    runbook = runbook_of(error)
    return f"{error}\nRunbook: {runbook}" if runbook else str(error)
