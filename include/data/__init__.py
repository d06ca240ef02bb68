"""Data: sources, validation, quarantine, lake tables, features, snapshots."""
