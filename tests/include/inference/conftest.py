"""Models small enough to be made for every test, as the serving tests make them."""

from __future__ import annotations

from tests.include.serving.conftest import home, make_model, model, row

__all__ = ["home", "make_model", "model", "row"]
