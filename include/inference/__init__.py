"""Inference without MLflow: downloading, loading and calling models, used by packaging and serving."""
