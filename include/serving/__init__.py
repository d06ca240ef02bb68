"""The processes that answer callers."""
