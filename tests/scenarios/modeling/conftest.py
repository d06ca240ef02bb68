"""Fixtures of the stories about models."""

from __future__ import annotations

from tests.include.conftest import estimators, flights, keys, packaged, packaged_once, registry
from tests.include.modeling.pipeline.conftest import new_run, new_workspace, registered, workspace

__all__ = [
    "estimators", "flights", "keys", "new_run", "new_workspace", "packaged", "packaged_once", "registered",
    "registry", "workspace",
]  # fmt: skip
