"""From a snapshot of data to a certified model version."""
