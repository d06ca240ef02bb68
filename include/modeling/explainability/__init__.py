"""Explanations: global importance and per-prediction attribution."""
