"""The assets that connect the DAGs: dataset → inputs of a feature view → feature view → model."""

from __future__ import annotations

from airflow.sdk import Asset


def dataset(name: str) -> Asset:
    """Return the asset of a dataset's published partitions."""
    return Asset(name=name, uri=f"airworthy://datasets/{name}")


def inputs(view: str) -> Asset:
    """Return the asset of the partitions for which a feature view has all of its inputs."""
    return Asset(name=f"{view}_inputs", uri=f"airworthy://inputs/{view}")


def feature_view(name: str) -> Asset:
    """Return the asset of a feature view's published partitions."""
    return Asset(name=name, uri=f"airworthy://features/{name}")


def candidate(use_case: str) -> Asset:
    """Return the asset of a use case's certified versions; an event's `version` says which."""
    return Asset(name=f"{use_case}_candidate", uri=f"airworthy://candidates/{use_case}")


def predictions(use_case: str) -> Asset:
    """Return the asset of a use case's batch predictions."""
    return Asset(name=f"{use_case}_predictions", uri=f"airworthy://predictions/{use_case}")
