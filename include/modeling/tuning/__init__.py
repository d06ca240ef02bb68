"""Tuning: hyper-parameter search on the validation data."""
