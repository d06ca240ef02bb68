"""One feature view, one file: every module here defines `FEATURE_VIEW` and `build(frames, day)`."""
