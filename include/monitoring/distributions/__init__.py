"""Shifts of single columns: distances of all rows, their p-values, and which of them are no coincidence."""
