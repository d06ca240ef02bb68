"""Datasets, one per module: each module defines `DATASET`."""
