"""Batch scoring: predictions of one version for partitions of features, and the check of the output."""
