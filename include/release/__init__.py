"""Releases of model versions: desired state, smoke test, rollout status and analysis, champion history."""
