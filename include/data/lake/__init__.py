"""The lake: Delta tables, one partition per commit."""
