"""The steps from a snapshot to an evaluated candidate."""
