"""Assets that connect the DAGs: dataset → inputs of a feature view → feature view → model."""

from __future__ import annotations

from airflow.sdk import Asset

# For a scheme without "x-", Airflow asks all providers to normalise it, and imports boto3 in each parse.
SCHEME = "x-airworthy"


def dataset(name: str) -> Asset:
    """Return the asset of a dataset's published partitions."""
    return Asset(name=name, uri=f"{SCHEME}://datasets/{name}")


def inputs_asset(view: str) -> Asset:
    """Return the asset of the partitions whose inputs of a feature view are complete."""
    return Asset(name=f"{view}_inputs", uri=f"{SCHEME}://inputs/{view}")


def feature_view(name: str) -> Asset:
    """Return the asset of a feature view's published partitions."""
    return Asset(name=name, uri=f"{SCHEME}://features/{name}")


def candidate(use_case: str) -> Asset:
    """Return the asset of a use case's certified versions; events have the number as `version`."""
    return Asset(name=f"{use_case}_candidate", uri=f"{SCHEME}://candidates/{use_case}")


def predictions(use_case: str) -> Asset:
    """Return the asset of a use case's batch predictions."""
    return Asset(name=f"{use_case}_predictions", uri=f"{SCHEME}://predictions/{use_case}")
