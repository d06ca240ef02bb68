"""The registry: MLflow runs, model versions and their artifacts."""
