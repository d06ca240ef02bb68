"""One dataset, one file: every module here defines `DATASET`."""
