"""The model server: answers requests for one version."""
