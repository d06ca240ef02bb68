"""Evaluation: predictions, metrics, intervals and costs of a model on one split."""
