"""Snapshots: the exact rows that a training uses, their split and their labels."""
