"""Targets that serve versions elsewhere than on this machine."""
