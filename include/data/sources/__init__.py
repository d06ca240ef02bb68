"""Sources: how raw rows of a partition are read."""
