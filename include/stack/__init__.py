"""The embedded default: every process of the project on one machine."""
