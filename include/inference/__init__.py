"""Inference: what training packages and serving loads, and the scoring protocol."""
