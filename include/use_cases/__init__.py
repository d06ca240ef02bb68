"""Use cases, one per module: each module defines `USE_CASE` and `build_model()`."""
