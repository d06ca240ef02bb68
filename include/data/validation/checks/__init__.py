"""Checks that a declaration implies: of single rows, of tables, against history and other datasets."""
