"""Requests: their bodies, and the keys of their rows."""
