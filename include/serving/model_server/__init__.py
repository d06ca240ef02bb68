"""The model server: serves one version of one model over HTTP."""
