"""Paths of profile pages below the lake's reports."""

from __future__ import annotations


def profile_path(name: str) -> str:
    """Return the path of the profile of a dataset or feature view."""
    return f"profiles/{name}.html"
