"""Backtests: walk-forward evaluation of a use case over past nights."""
