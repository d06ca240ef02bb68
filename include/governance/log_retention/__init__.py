"""Retention of the logs of requests: old days are exported to the lake, counted by hour, and deleted."""
