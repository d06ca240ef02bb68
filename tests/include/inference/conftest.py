"""Fixtures of small models, shared with the tests of serving."""

from __future__ import annotations

from tests.include.serving.conftest import home, make_model, model, row

__all__ = ["home", "make_model", "model", "row"]
