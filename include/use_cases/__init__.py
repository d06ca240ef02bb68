"""One model, one file: every module here defines `USE_CASE` and `build_model()`."""
