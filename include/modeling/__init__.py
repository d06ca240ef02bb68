"""Modeling: training, evaluation, gates, packaging and registration."""
