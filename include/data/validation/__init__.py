"""Validation: the checks that a partition must pass before it is published."""
