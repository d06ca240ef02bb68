"""Fix the data, and train on it."""

from __future__ import annotations
