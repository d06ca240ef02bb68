"""
Errors that a person is expected to act on.

AirworthyError
├── DeclarationError      a declaration of a dataset, feature view or use case is invalid
├── SettingsError         the environment, a setting or a connection is wrong or missing
├── ConflictError         an earlier attempt, or another run, used other data, code or parameters
├── DataError             data cannot be used
│   ├── PartitionMissing      a partition has not landed or was never published
│   ├── QualityFailed         a quality gate refused a partition
│   └── StaleAttempt          a newer try of the run has published already
├── RunDeleted            an MLflow run that a task needs was deleted
├── ModelError            a model raises, or returns something that is no prediction
│   ├── TrainingFailed        an estimator could not be fitted, or its predictions are invalid
│   └── PackagingFailed       a trained model cannot be packaged as its use case declares
├── NotReproduced         a version, trained again, predicts differently
├── GateFailed            a candidate did not earn its promotion
├── CertificateInvalid    a model's certificate is missing, forged, or of another model
├── ReleaseError          the desired state cannot change as asked
│   ├── StaleEpoch            a newer attempt owns the rollout
│   └── RolloutFailed         staging, shadow or canary said no
├── AttentionNeeded       monitoring asks for a person
└── ServiceUnavailable    something outside is away: try again (the only one that is retried)
"""

from __future__ import annotations


class AirworthyError(Exception):
    """Catch this to handle anything the project raises on purpose."""


class DeclarationError(AirworthyError):
    """A declaration names something that does not exist, twice, or impossibly."""


class SettingsError(AirworthyError):
    """The environment, a setting or a connection is wrong or missing."""


class ConflictError(AirworthyError):
    """An earlier attempt, or another run, used other data, code or parameters."""


class DataError(AirworthyError):
    """Data cannot be used."""


class PartitionMissing(DataError):
    """A partition has not landed or was never published."""


class QualityFailed(DataError):
    """A quality gate refused a partition."""


class StaleAttempt(DataError):
    """A newer try of the same run has published already; this one must change nothing."""


class RunDeleted(AirworthyError):
    """An MLflow run that a task needs was deleted."""


class ModelError(AirworthyError):
    """A model raises, or returns something that is no prediction; trying again does not help."""


class TrainingFailed(ModelError):
    """An estimator could not be fitted, or its predictions are invalid."""


class PackagingFailed(ModelError):
    """A trained model cannot be packaged as its use case declares."""


class NotReproduced(AirworthyError):
    """A version that was trained again from its lineage predicts differently, or cannot be trained."""


class GateFailed(AirworthyError):
    """A candidate model did not earn its promotion."""


class CertificateInvalid(AirworthyError):
    """A certificate is missing, forged, or belongs to another model."""


class ReleaseError(AirworthyError):
    """The desired state cannot change as asked."""


class StaleEpoch(ReleaseError):
    """A newer attempt owns the rollout; this one must change nothing."""


class RolloutFailed(ReleaseError):
    """Staging, shadow or canary said no."""


class AttentionNeeded(AirworthyError):
    """Monitoring found something that a person has to look at."""


class ServiceUnavailable(AirworthyError):
    """Something outside is away; trying again may help."""
