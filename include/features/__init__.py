"""Feature views, one per module: each module defines `FEATURE_VIEW` and `build(frames, day)`."""
